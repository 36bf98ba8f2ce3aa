from dataclasses import replace

import pytest
import torch
from hand_made import square

from dyenet.inference.config import RetrievalConfig
from dyenet.inference.retrieval import Retrieval, match
from dyenet.structures import Candidates, MaskPatches, Template

CONFIG = RetrievalConfig(similarity_threshold=0.7)
BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])


def looks(*rows) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


def candidates(*rows) -> Candidates:
    return Candidates(BOXES[: len(rows)], torch.full((len(rows),), 0.5), looks(*rows))


def template(object_id, *look, frame=0, given=True) -> Template:
    return Template(object_id, frame, square(0), looks(look)[0], given=given)


def test_the_best_candidate_of_each_object_is_matched_to_its_nearest_template():
    found = match(
        candidates((1, 0.2, 0), (1, 0, 0), (0, 0.6, 0.8)),
        [template(3, 0.8, 0.6, 0), template(3, 1, 0, 0), template(8, 0, 0, 1)],
        CONFIG,
    )
    assert [(m.row, m.object_id) for m in found] == [(1, 3), (2, 8)]
    assert [m.similarity for m in found] == pytest.approx([1.0, 0.8])


def test_similarity_must_exceed_the_threshold():
    templates = [template(1, 1, 0)]
    assert match(candidates((0.6, 0.8)), templates, CONFIG) == []
    assert [
        m.row for m in match(candidates((0.6, 0.8)), templates, replace(CONFIG, similarity_threshold=0.5))
    ] == [0]


def test_a_candidate_starts_the_object_it_is_most_similar_to_or_all():
    templates = [template(1, 1, 0), template(2, 0.8, 0.6)]
    found = match(candidates((1, 0.1)), templates, CONFIG)
    assert [m.object_id for m in found] == [1]
    ((other, similarity),) = found[0].alternatives
    assert other == 2
    assert similarity == pytest.approx(0.86 / 1.01**0.5)
    assert [m.object_id for m in match(candidates((1, 0.1)), templates, replace(CONFIG, identity="all"))] == [
        1,
        2,
    ]


def test_every_similar_candidate_of_a_frame_can_start_an_object():
    templates = [template(1, 1, 0)]
    near = candidates((1, 0.0), (0.9, 0.1), (0, 1))
    assert [m.row for m in match(near, templates, CONFIG)] == [0]
    every = match(near, templates, replace(CONFIG, per_frame="every"))
    assert [(m.row, m.object_id) for m in every] == [(0, 1), (1, 1)]


def test_no_candidates_match_nothing():
    assert (
        match(Candidates(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 2)), [template(1, 1, 0)], CONFIG)
        == []
    )


class Frames:
    """A retriever and propagator over prepared candidates; records the boxes recovered."""

    def __init__(self, frames) -> None:
        self.frames, self.recovered = frames, []

    def candidates(self, frame):
        return self.frames[frame]

    def recover(self, frame, boxes, templates):
        self.recovered += [(frame, int(box[0]), t.object_id) for box, t in zip(boxes, templates, strict=True)]
        return MaskPatches(boxes, torch.ones(len(boxes), 4, 4) * (boxes[:, 0] < 40)[:, None, None])


def test_starting_points_are_sorted_and_only_matches_are_recovered_once():
    source = Frames(
        [candidates((0.8, 0.6), (0, 1)), candidates((1, 0.1), (-1, 0)), candidates((0, -1), (1, 0))]
    )
    retrieval = Retrieval(source, source, CONFIG)
    templates = [template(1, 1, 0, frame=9)]
    points = retrieval.starting_points(range(3), templates)
    assert [(p.object_id, p.frame) for p in points] == [(1, 2), (1, 1), (1, 0)]
    assert [p.similarity for p in points] == pytest.approx([1.0, 1 / 1.01**0.5, 0.8])
    assert source.recovered == [(0, 0, 1), (1, 0, 1), (2, 20, 1)]
    retrieval.starting_points(range(3), [*templates, template(1, 0, 1, frame=5, given=False)])
    assert source.recovered[3:] == [(0, 20, 1)]  # the new template's match only


def test_objects_are_not_retrieved_where_their_mask_is_given_nor_where_none_is_recovered():
    source = Frames([candidates((1, 0)), candidates((0, 1), (0, 1), (1, 0))])
    points = Retrieval(source, source, CONFIG).starting_points(range(2), [template(1, 1, 0, frame=0)])
    assert points == []
    assert source.recovered == [(1, 40, 1)]  # its mask came out empty
