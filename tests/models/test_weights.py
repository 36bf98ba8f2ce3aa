import pytest
import torch
from torchvision.models import resnet
from torchvision.models.segmentation import deeplabv3_resnet50

from dyenet.config import load_config
from dyenet.errors import WeightsError
from dyenet.models.converters import load_deeplabv3_resnet, load_imagenet_resnet
from dyenet.models.dyenet import DyeNet
from dyenet.models.weights import file_sha256, load_network, load_strictly, read_weights, save_network
from dyenet.registry import MODELS


@pytest.fixture(scope="module")
def small():
    config = load_config("dyenet/small.py")
    return MODELS.build(config.model), config


@pytest.fixture(scope="module")
def r50() -> DyeNet:
    return MODELS.build(load_config("dyenet/r50.py").model)


def test_saved_and_loaded_again_it_is_the_same_network(small, tmp_path):
    network, config = small
    save_network(network, config, tmp_path / "w.safetensors", dtype=torch.float32, extra={"parent": "none"})
    again, loaded, extra = load_network(tmp_path / "w.safetensors")
    assert extra == {"parent": "none"}
    assert loaded.model.trunk.type == "SmallTrunk"
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert len(file_sha256(tmp_path / "w.safetensors")) == 64
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_what_is_no_weights_file_is_said(tmp_path):
    (tmp_path / "w").write_bytes(b"not safetensors at all")
    with pytest.raises(WeightsError, match="no safetensors file"):
        read_weights(tmp_path / "w")
    with pytest.raises(WeightsError, match="there is no weights file"):
        read_weights(tmp_path / "absent")


def test_weights_of_others_are_refused_by_name(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "w")
    with pytest.raises(WeightsError, match="not saved by dyenet"):
        read_weights(tmp_path / "w")


def test_every_key_that_does_not_fit_is_named():
    module = torch.nn.Linear(2, 3)
    with pytest.raises(
        WeightsError, match=r"missing: bias; unexpected: extra; of another shape: weight is \(1,\)"
    ):
        load_strictly(module, {"weight": torch.zeros(1), "extra": torch.zeros(1)}, "here")


def random_like(state):
    return {k: torch.randn_like(v) if v.is_floating_point() else v for k, v in state.items()}


def check_layer4(network: DyeNet, layer4):
    for conv5 in (
        network.reid_head.mask_conv5,
        network.reid_head.embedding_conv5,
        network.propagation_head.conv5,
    ):
        own = conv5.blocks.state_dict()
        assert torch.equal(own["2.conv3.weight"], layer4["2.conv3.weight"])
        assert torch.equal(own["0.conv1.weight"][:, :1024], layer4["0.conv1.weight"])
    hidden = network.propagation_head.conv5.blocks.state_dict()["0.conv1.weight"][:, 1024:]
    assert 0 < hidden.abs().max() < 0.01


def test_torchvision_s_imagenet_resnet_fits_trunk_and_heads(r50):
    state = random_like(resnet.resnet50(weights=None).state_dict())
    load_imagenet_resnet(r50, state)
    assert torch.equal(r50.trunk.layer3[5].conv2.weight, state["layer3.5.conv2.weight"])
    assert torch.equal(r50.trunk.bn1.running_var, state["bn1.running_var"])
    check_layer4(r50, {k.removeprefix("layer4."): v for k, v in state.items()})


def test_torchvision_s_deeplab_fits_trunk_and_heads(r50):
    state = random_like(deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True).state_dict())
    load_deeplabv3_resnet(r50, state)
    assert torch.equal(r50.trunk.layer1[0].conv1.weight, state["backbone.layer1.0.conv1.weight"])
    check_layer4(r50, {k.removeprefix("backbone.layer4."): v for k, v in state.items()})


def test_r101_s_names_and_shapes_are_torchvision_s():
    with torch.device("meta"):
        network = MODELS.build(load_config("dyenet/r101.py").model)
        state = resnet.resnet101(weights=None).state_dict()
    expected = {k: v.shape for k, v in state.items() if not k.startswith(("layer4", "fc"))}
    own = {k: v.shape for k, v in network.trunk.state_dict().items()}
    assert own == {k: v for k, v in expected.items() if not k.endswith("num_batches_tracked")}


def test_a_converter_names_what_is_missing(r50):
    state = resnet.resnet50(weights=None).state_dict()
    del state["layer4.1.conv2.weight"]
    with pytest.raises(WeightsError, match=r"layer4 into .*missing: 1\.conv2\.weight"):
        load_imagenet_resnet(r50, state)
