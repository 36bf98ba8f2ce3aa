import math
from dataclasses import replace

import pytest
import torch
from hand_made import row, square, track

from dyenet.inference.config import ExpansionConfig, LinkingConfig
from dyenet.inference.linking import link
from dyenet.inference.templates import expand_templates, initial_templates, similarities
from dyenet.structures import StartingPoint, Template

CONFIG = ExpansionConfig(frame_step=1)


def unit(degrees: float) -> torch.Tensor:
    return torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])


class Looks:
    """A retriever whose embeddings are angles, by the frame and the box's x."""

    def __init__(self, angles: dict[int, float]) -> None:
        self.angles, self.asked = angles, []

    def embed(self, frame, boxes, masks=None):
        self.asked.append((frame, boxes.tolist()))
        return torch.stack([unit(self.angles[frame])] * len(boxes))


def template(object_id: int, degrees: float, frame: int = 0) -> Template:
    return Template(object_id, frame, square(0), unit(degrees))


def added(angles, templates, config=CONFIG, frames=None, probability=0.9, threshold=0.7):
    frames = range(1, len(angles) + 1) if frames is None else frames
    looks = Looks(dict(zip(frames, angles, strict=True)))
    masks = {f: square(0, probability=probability) for f in frames}
    tubes = link([track(1, frames[0], masks, 0.9)], LinkingConfig())
    new = expand_templates(tubes, templates, looks, config, threshold=threshold)
    return {t.frame: round(t.similarity, 3) for t in new}, new


def test_initial_templates_embed_the_tight_boxes_of_the_given_masks():
    looks = Looks({0: 10.0, 3: 20.0})
    given = [StartingPoint(4, 0, square(8), given=True), StartingPoint(9, 3, square(20), given=True)]
    found = initial_templates(given, looks)
    assert [(t.object_id, t.frame, t.given) for t in found] == [(4, 0, True), (9, 3, True)]
    assert torch.allclose(found[1].embedding, unit(20))
    assert looks.asked == [(0, [[8.0, 0.0, 24.0, 16.0]]), (3, [[20.0, 0.0, 36.0, 16.0]])]


def test_similarity_is_to_the_nearest_template_of_each_object():
    templates = [template(1, 0), template(1, 60), template(5, 90)]
    found = similarities(torch.stack([unit(50), unit(90)]), templates, [1, 5, 6])
    assert found[0].tolist() == pytest.approx([0.985, 0.766, -1], abs=1e-3)
    assert found[1].tolist() == pytest.approx([0.866, 1.0, -1], abs=1e-3)


def test_similar_masks_are_added_best_first_and_dissimilar_ones_are_not():
    found, new = added([40.0, 20.0, 50.0], [template(1, 0)])
    # cosines .766, .940, .643: the last is below .7
    assert found == {2: 0.94, 1: 0.766}
    assert [t.frame for t in new] == [2, 1]
    assert not any(t.given for t in new)


def test_the_threshold_of_the_config_is_before_the_default_one():
    assert added([40.0], [template(1, 0)], replace(CONFIG, threshold=0.8))[0] == {}


def test_a_mask_must_be_closer_to_its_own_object_by_the_margin():
    # own cosine cos(30) = .866; the other object's at 62 degrees gives cos(32) = .848, nearer than .05
    assert added([30.0], [template(1, 0), template(2, 62)])[0] == {}
    assert added([30.0], [template(1, 0), template(2, 62)], replace(CONFIG, margin=0.01))[0] == {1: 0.866}


def test_near_duplicates_of_templates_and_of_each_other_are_left_out():
    # 10 degrees is cos .985 from the template; 30 and 35 degrees are .996 from each other
    assert added([10.0, 30.0, 35.0], [template(1, 0)])[0] == {2: 0.866}


def test_masks_without_confidence_are_left_out():
    assert added([30.0], [template(1, 0)], probability=0.75)[0] == {}


def test_the_number_per_round_is_bounded():
    assert list(added([-40.0, 20.0, 40.0], [template(1, 0)], replace(CONFIG, max_per_round=1))[0]) == [2]


def test_templates_are_judged_by_those_of_before_the_round():
    # 60 degrees is near the new template at 30 but not near the old one at 0
    assert added([30.0, 60.0], [template(1, 0)])[0] == {1: 0.866}


def test_frames_that_have_a_template_add_nothing_again():
    assert added([40.0], [template(1, 0), template(1, 0, frame=1)])[0] == {}


@pytest.mark.parametrize(
    ("source", "frames"), [("both", {0, 1, 4}), ("starting_points", {1}), ("tube_masks", {0, 4})]
)
def test_the_source_says_which_masks_are_looked_at(source, frames):
    looks = Looks(dict.fromkeys(range(8), 0.0))
    tubes = link([row(1, 1, range(6), x=0, similarity=0.9)], LinkingConfig())
    config = ExpansionConfig(source=source, frame_step=4)
    expand_templates(tubes, [template(1, 0, frame=7)], looks, config, threshold=0.7)
    assert {frame for frame, _ in looks.asked} == frames
