from dataclasses import replace

import pytest
import torch
from hand_made import square

from dyenet.inference.config import RetrievalConfig
from dyenet.inference.retrieval import Match, Retrieval, match
from dyenet.inference.templates import similarities
from dyenet.structures import Candidates, MaskPatches, Template

CONFIG = RetrievalConfig(similarity_threshold=0.7)
BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])


def looks(*rows) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


def candidates(*rows) -> Candidates:
    return Candidates(BOXES[: len(rows)], torch.full((len(rows),), 0.5), looks(*rows))


def template(object_id, *look, frame=0, given=True) -> Template:
    return Template(object_id, frame, square(0), looks(look)[0], given=given)


def matches(found: Candidates, templates, config: RetrievalConfig = CONFIG) -> list[Match]:
    object_ids = sorted({t.object_id for t in templates})
    return match(similarities(found.embeddings, templates, object_ids), object_ids, config)


def test_the_best_candidate_of_each_object_is_matched_to_its_nearest_template():
    found = matches(
        candidates((1, 0.2, 0), (1, 0, 0), (0, 0.6, 0.8)),
        [template(3, 0.8, 0.6, 0), template(3, 1, 0, 0), template(8, 0, 0, 1)],
    )
    assert [(m.row, m.object_id) for m in found] == [(1, 3), (2, 8)]
    assert [m.similarity for m in found] == pytest.approx([1.0, 0.8])


def test_similarity_must_exceed_the_threshold():
    templates = [template(1, 1, 0)]
    assert matches(candidates((0.6, 0.8)), templates) == []
    assert [
        m.row for m in matches(candidates((0.6, 0.8)), templates, replace(CONFIG, similarity_threshold=0.5))
    ] == [0]


def test_a_candidate_starts_the_object_it_is_most_similar_to_or_all():
    templates = [template(1, 1, 0), template(2, 0.8, 0.6)]
    found = matches(candidates((1, 0.1)), templates)
    assert [m.object_id for m in found] == [1]
    ((other, similarity),) = found[0].alternatives
    assert other == 2
    assert similarity == pytest.approx(0.86 / 1.01**0.5)
    assert [
        m.object_id for m in matches(candidates((1, 0.1)), templates, replace(CONFIG, identity="all"))
    ] == [
        1,
        2,
    ]


def test_every_similar_candidate_of_a_frame_can_start_an_object():
    templates = [template(1, 1, 0)]
    near = candidates((1, 0.0), (0.9, 0.1), (0, 1))
    assert [m.row for m in matches(near, templates)] == [0]
    every = matches(near, templates, replace(CONFIG, per_frame="every"))
    assert [(m.row, m.object_id) for m in every] == [(0, 1), (1, 1)]


def test_of_masks_that_are_nearly_as_similar_the_largest_is_chosen():
    """Of four candidates the fourth is too dissimilar, the second below the threshold for the second object."""
    scores = torch.tensor([[0.90, 0.71], [0.86, 0.69], [0.88, 0.72], [0.84, 0.0]])
    areas = torch.tensor([[10.0, 40.0], [30.0, 50.0], [20.0, 30.0], [90.0, 0.0]])
    assert [(m.row, m.object_id) for m in match(scores, [4, 6], replace(CONFIG, identity="all"))] == [
        (0, 4),
        (2, 6),
    ]
    found = match(scores, [4, 6], replace(CONFIG, identity="all"), areas)
    assert [(m.row, m.object_id) for m in found] == [(1, 4), (0, 6)]
    assert [m.similarity for m in found] == pytest.approx([0.86, 0.71])


def test_no_candidates_match_nothing():
    assert (
        matches(Candidates(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 2)), [template(1, 1, 0)]) == []
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


def test_masks_are_found_and_followed_by_the_given_one_nearest_in_time():
    source = Frames([candidates((1, 0))] * 8)
    templates = [
        template(1, 1, 0, frame=0),
        template(1, 1, 0, frame=6),
        template(1, 1, 0, frame=4, given=False),
    ]
    points = Retrieval(source, source, CONFIG).starting_points(range(8), templates)
    assert {p.frame: p.template.frame for p in points} == {1: 0, 2: 0, 3: 0, 4: 6, 5: 6, 7: 6}


class Looks(Frames):
    """What is found in the box at x = 0 looks like (0.9, 0.4), in that at 20 like (1, 0); in that at 40 is nothing."""

    embedded = 0

    def embed(self, frame, boxes, masks):
        self.embedded += len(boxes)
        return torch.stack([looks((1, 0) if box[0] >= 20 else (0.9, 0.4))[0] for box in masks.boxes])


def test_a_second_look_is_at_the_mask_that_is_found_for_an_object():
    """Without it the first box would be the most similar, or the third, whose mask is empty."""
    source = Looks([candidates((1, 0.2), (0.5, 0.8), (1, 0))])
    config = replace(CONFIG, second_look=0.3)
    retrieval, templates = Retrieval(source, source, config), [template(1, 1, 0, frame=9)]
    (point,) = retrieval.starting_points(range(1), templates)
    assert point.patch.boxes[0, 0] == 20
    assert point.similarity == pytest.approx(1.0)
    assert source.recovered == [(0, 0, 1), (0, 20, 1), (0, 40, 1)]
    assert source.embedded == 3
    (again,) = retrieval.starting_points(range(1), [*templates, template(1, 0, 1, frame=5, given=False)])
    assert again.similarity == pytest.approx(1.0)
    assert (len(source.recovered), source.embedded) == (3, 3)  # kept
    strict = Retrieval(source, source, replace(CONFIG, second_look=0.7))
    (first,) = strict.starting_points(range(1), templates)
    assert first.patch.boxes[0, 0] == 0
    assert first.similarity == pytest.approx(0.9 / 0.97**0.5)


def test_every_object_has_a_second_look_of_its_own():
    """The box looks like the second object more, but what is found in it looks like the first."""
    source = Looks([candidates((0.6, 0.8))])
    config = replace(CONFIG, second_look=0.5, identity="all")
    points = Retrieval(source, source, config).starting_points(
        range(1), [template(1, 1, 0, frame=9), template(2, 0, 1, frame=9)]
    )
    assert source.recovered == [(0, 0, 1), (0, 0, 2)]
    assert [p.object_id for p in points] == [1]
