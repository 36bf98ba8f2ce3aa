import importlib.util
import subprocess
import sys

import pytest
import torch

from dyenet.errors import ConfigError
from dyenet.models.mmdet_adapter import MMDetDetector, MMDetTrunk, _Operators, mmdet_models


def installed() -> bool:
    try:
        mmdet_models()
    except ConfigError:
        return False
    return True


needs_mmdet = pytest.mark.skipif(not installed(), reason="mmdetection is an extra and is not installed")
RESNET = dict(
    type="ResNet", depth=18, num_stages=3, strides=(1, 2, 1), dilations=(1, 1, 2), out_indices=(0, 2)
)


def test_without_mmdet_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['mmdet'] = None\n"
        "from dyenet.models.mmdet_adapter import mmdet_models\n"
        "try:\n    mmdet_models()\nexcept Exception as e:\n    print(type(e).__name__, e)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("ConfigError")
    assert "dyenet[mmdet]" in out


def test_mmengine_finds_the_operators_that_are_served(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmcv._ext", _Operators("mmcv._ext"))
    assert importlib.util.find_spec("mmcv._ext") is not None


@pytest.mark.skipif(installed(), reason="mmdetection is installed")
def test_without_mmdet_nothing_is_left_in_place_of_the_operators():
    assert "mmcv._ext" not in sys.modules


def test_nms_is_served_and_the_rest_says_that_it_is_not():
    operators = _Operators("mmcv._ext")
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]])
    kept = operators.nms(boxes, torch.tensor([0.5, 0.9, 0.1]), iou_threshold=0.5, offset=0)
    assert kept.tolist() == [1, 2]
    with pytest.raises(NotImplementedError, match="deform_conv_forward"):
        operators.deform_conv_forward()


@needs_mmdet
def test_a_backbone_as_trunk():
    coarse, fine = MMDetTrunk(backbone=RESNET, out_channels=256, fine_channels=64)(torch.zeros(1, 3, 60, 90))
    assert coarse.shape == (1, 256, 8, 12)
    assert fine.shape == (1, 64, 16, 24)


@needs_mmdet
def test_a_backbone_of_another_stride_is_refused():
    backbone = {**RESNET, "strides": (1, 2, 2), "dilations": (1, 1, 1)}
    with pytest.raises(ConfigError, match="at 1/4 and 1/8"):
        MMDetTrunk(backbone=backbone, out_channels=256, fine_channels=64)(torch.zeros(1, 3, 64, 64))


@needs_mmdet
def test_an_rpn_detector_gives_candidate_boxes():
    detector = dict(
        type="RPN",
        backbone=dict(
            type="ResNet", depth=18, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)
        ),
        neck=None,
        rpn_head=dict(
            type="RPNHead",
            in_channels=256,
            feat_channels=16,
            anchor_generator=dict(type="AnchorGenerator", scales=[4], ratios=[1.0], strides=[16]),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
        ),
        train_cfg=None,
        test_cfg=dict(
            rpn=dict(nms_pre=50, max_per_img=9, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0)
        ),
    )
    (found,) = MMDetDetector(detector=detector).eval()(torch.zeros(1, 3, 96, 128), max_proposals=5)
    assert found.boxes.shape == (5, 4)
    assert (found.objectness.diff() <= 0).all()


@needs_mmdet
def test_dyenet_is_in_mmdet_s_registry():
    assert mmdet_models().get("DyeNet").__name__ == "DyeNet"
