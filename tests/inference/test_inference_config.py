import dataclasses

import pytest

from dyenet.config import build, configs_dir, load_config
from dyenet.errors import ConfigError
from dyenet.inference.config import InferenceConfig


def test_the_defaults_are_the_recommended_readings():
    config = InferenceConfig()
    assert config.schedule == "iterative"
    assert config.retrieval.similarity_threshold == 0.7
    assert config.propagation.box_enlargement == 0.15
    assert (config.propagation.min_area_ratio, config.propagation.min_side) == (0.1, 8)
    assert (config.propagation.skip_iou, config.propagation.skip_scope) == (0.7, "same_object")
    assert (config.linking.contradiction_iou, config.linking.max_contradicting_fraction) == (0.5, 0)
    assert (config.expansion.margin, config.expansion.min_confidence) == (0.05, 0.8)
    assert config.iterative.max_rounds == 3


def test_it_survives_the_way_through_a_config_file():
    config = InferenceConfig(max_size=320)
    assert build(InferenceConfig, dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"retrieval": {"treshold": 0.5}}, "inference.retrieval.treshold"),
        ({"propagation": {"skip_scope": "everything"}}, "same_object"),
        ({"iterative": {"max_rounds": 0}}, "at least 1"),
        ({"max_zoom": 0.5}, "at least 1"),
        ({"max_size": 0}, "inference.max_size is 0; it must be at least 1"),
        ({"retrieval": {"frame_step": 0}}, "inference.retrieval.frame_step is 0; it must be at least 1"),
        ({"propagation": {"recent_step": 0}}, "at least 1"),
        ({"verification": {"times": 0}}, "at least 1"),
        ({"expansion": {"frame_step": 0}}, "at least 1"),
        ({"shedule": "iterative"}, "did you mean 'schedule'"),
    ],
)
def test_unknown_keys_and_values_are_refused(block, words):
    with pytest.raises(ConfigError, match=words):
        build(InferenceConfig, block, "inference.")


@pytest.mark.parametrize("path", sorted((configs_dir() / "dyenet").glob("*.py")), ids=lambda p: p.stem)
def test_every_shipped_config_has_an_inference_block_that_is_understood(path):
    block = load_config(path).get("inference", {})
    config = build(InferenceConfig, block.to_dict() if block else {}, "inference.")
    assert config.schedule == "iterative"
