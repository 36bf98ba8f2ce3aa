from dataclasses import replace

from hand_made import nothing, row, square, track

from dyenet.inference.config import LinkingConfig
from dyenet.inference.linking import link

CONFIG = LinkingConfig()


def starts(tube) -> list[int]:
    return [t.start.frame for t in tube.tracklets]


def x_of(tube) -> dict[int, float]:
    return {f: p.boxes[0, 0].item() for f, p in sorted(tube.patches.items())}


def test_tracklets_apart_in_time_are_joined_and_higher_order_masks_stay():
    first = row(1, 0, range(4), x=0)
    agreeing = row(1, 5, range(3, 8), x=2, similarity=0.9)  # IoU 14 / 18 on frame 3
    tubes = link([agreeing, first], CONFIG)
    assert starts(tubes[1]) == [0, 5]
    assert x_of(tubes[1]) == {0: 0, 1: 0, 2: 0, 3: 0, 4: 2, 5: 2, 6: 2, 7: 2}


def test_of_agreeing_tracklets_the_one_that_started_nearer_is_followed_if_asked():
    early, late = row(1, 1, range(8), x=0, similarity=0.9), row(1, 6, range(8), x=2, similarity=0.8)
    assert x_of(link([early, late], CONFIG)[1]) == dict.fromkeys(range(8), 0)
    nearest = replace(CONFIG, shared_frames="nearest")
    assert x_of(link([early, late], nearest)[1]) == {f: 0 if f < 4 else 2 for f in range(8)}
    given = row(1, 0, range(7), x=1)  # what comes of a given mask stays
    assert x_of(link([early, late, given], nearest)[1]) == {**dict.fromkeys(range(7), 1), 7: 2}


def test_in_shared_frames_the_mask_that_is_more_similar_by_the_margin_is_taken_if_asked():
    first, second = row(1, 1, range(6), x=0, similarity=0.9), row(1, 4, range(8), x=2, similarity=0.8)
    given = row(1, 0, range(4), x=1)
    given.similarities = {0: 1.0, 1: 0.9, 2: 0.5, 3: 0.5}
    first.similarities = {0: 0.0, 1: 0.93, 2: 0.52, 3: 0.6, 4: 0.6, 5: 0.6}
    second.similarities = {0: 0.0, 1: 0.98, 2: 0.56, 3: 0.62, 4: 0.6, 5: 0.7, 6: 0.1, 7: 0.1}
    assert list(x_of(link([second, given, first], CONFIG)[1]).values()) == [1, 1, 1, 1, 0, 0, 2, 2]
    similar = replace(CONFIG, shared_frames="similar", margin=0.05)
    # frame 1: 0.93 is no match for 0.9, but 0.98 is; frame 3: 0.6 beats 0.5, and 0.62 does not beat 0.6
    assert list(x_of(link([second, given, first], similar)[1]).values()) == [1, 2, 2, 0, 0, 2, 2, 2]
    first.similarities[1] = 0.99  # where it was found in a box, the given one's stays
    assert x_of(link([given, first], similar)[1])[1] == 1
    second.similarities[4] = 0.7  # that of a retrieved one does not
    assert x_of(link([second, given, first], similar)[1])[4] == 2


def test_a_tracklet_that_disagrees_on_one_shared_frame_is_rejected_whole():
    first = row(1, 0, range(4), x=0)
    disagreeing = row(1, 5, range(3, 8), x=8, similarity=0.9)  # IoU 8 / 24 on frame 3
    assert starts(link([first, disagreeing], CONFIG)[1]) == [0]
    for fraction, joined in [(0.19, [0]), (0.2, [0, 5])]:
        lenient = replace(CONFIG, max_contradicting_fraction=fraction)
        assert starts(link([first, disagreeing], lenient)[1]) == joined
    assert starts(link([first, disagreeing], replace(CONFIG, contradiction_iou=0.3))[1]) == [0, 5]


def test_the_more_similar_of_two_contradicting_tracklets_founds_the_tube():
    weak, strong = row(1, 2, range(5), x=0, similarity=0.8), row(1, 3, range(5), x=30, similarity=0.9)
    assert starts(link([weak, strong], CONFIG)[1]) == [3]
    # Found by a template that came in between, it is less similar to the given masks.
    weak.similarities = {0: 0.1, 1: 0.2, 2: 0.7, 3: 0.7, 4: 0.7}
    strong.similarities = dict.fromkeys(range(5), 0.6) | {3: 0.9}
    similar = replace(CONFIG, shared_frames="similar", margin=1.0)
    assert x_of(link([strong, weak], similar)[1]) == dict.fromkeys(range(5), 0)


def test_a_tracklet_on_another_object_s_tube_is_rejected_or_offered_to_it():
    one, two = row(1, 0, range(4), x=0), row(2, 0, range(8), x=40)
    stray = row(1, 6, range(5, 10), x=41, similarity=0.8, alternatives=((2, 0.75),))
    tubes = link([one, two, stray], CONFIG)
    assert starts(tubes[1]) == [0]
    assert starts(tubes[2]) == [0]
    tubes = link([one, two, stray], replace(CONFIG, reassign=True))
    assert starts(tubes[1]) == [0]
    assert starts(tubes[2]) == [0, 6]
    assert max(tubes[2].patches) == 9
    for tracklet, similarity in [(one, 0.9), (two, 0.5), (stray, 0.8)]:
        tracklet.similarities = dict.fromkeys(tracklet.patches, similarity)  # the stray's to object 1
    tubes = link([one, two, stray], replace(CONFIG, reassign=True, shared_frames="similar"))
    assert x_of(tubes[2]) == {**dict.fromkeys(range(8), 40), 8: 41, 9: 41}


def test_a_mask_gives_way_to_one_that_is_more_similar_to_another_object_by_the_margin():
    """Object 1's tracklet goes on over object 2, which comes back; on frames 5 to 8 both lie there."""
    one, two = row(1, 0, range(9), x=0), row(2, 0, range(3), x=40)
    back = row(2, 6, range(5, 12), x=1, similarity=0.8)
    one.similarities = dict.fromkeys(range(9), 0.6) | {8: 0.8}
    two.similarities, back.similarities = dict.fromkeys(range(3), 0.9), dict.fromkeys(range(5, 12), 0.7)
    similar = replace(CONFIG, shared_frames="similar", margin=0.05, max_contradicting_fraction=0.5)
    tubes = link([one, two, back], similar)
    # On frame 6 it was found in a box, and of a given tracklet that takes nothing; on frame 8 it is the less similar.
    assert sorted(tubes[1].patches) == [0, 1, 2, 3, 4, 6, 8]
    assert sorted(tubes[2].patches) == [0, 1, 2, *range(5, 12)]
    # Where object 2 is known to be elsewhere, in frame 7, it takes nothing either.
    seen = row(2, 7, range(7, 8), x=40, similarity=0.9)
    seen.similarities = {7: 0.7}
    assert sorted(link([one, two, seen, back], similar)[1].patches) == [0, 1, 2, 3, 4, 6, 7, 8]
    strict = replace(similar, max_contradicting_fraction=1 / 7)  # frames 6 and 8 are two of its seven
    for config in (strict, replace(similar, shared_frames="first")):
        tubes = link([one, two, back], config)  # four of seven contradict where similarity does not count
        assert (sorted(tubes[1].patches), sorted(tubes[2].patches)) == (list(range(9)), [0, 1, 2])


def test_masks_that_overlap_another_tube_less_than_their_own_are_no_contradiction():
    one, two = row(1, 0, range(4), x=0), row(2, 0, range(4), x=4)  # IoU of the two: 12 / 20
    follower = row(1, 3, range(2, 6), x=0, similarity=0.9)
    assert starts(link([one, two, follower], CONFIG)[1]) == [0, 3]


def test_empty_masks_contradict_nothing():
    first = track(1, 0, {0: square(0), 1: nothing()})
    second = track(1, 2, {1: square(50), 2: square(50)}, similarity=0.9)
    assert starts(link([first, second], CONFIG)[1]) == [0, 2]


def test_between_two_given_masks_the_nearer_one_is_followed():
    early, late = row(1, 0, range(6), x=0), row(1, 6, range(1, 9), x=30)
    tubes = link([late, early], CONFIG)
    assert x_of(tubes[1]) == {0: 0, 1: 0, 2: 0, 3: 30, 4: 30, 5: 30, 6: 30, 7: 30, 8: 30}
    tubes = link([early, late], CONFIG)  # frame 3 is as far from both: the first stays
    assert x_of(tubes[1])[3] == 0
    assert x_of(tubes[1])[4] == 30
    tubes = link([early, late], replace(CONFIG, shared_frames="similar"))  # whatever they look like
    assert x_of(tubes[1])[5] == 30


def test_tubes_are_by_object_id_and_objects_without_tracklets_have_none():
    tubes = link([row(7, 0, range(2), x=0), row(3, 0, range(2), x=30)], CONFIG)
    assert list(tubes) == [3, 7]
    assert link([], CONFIG) == {}
