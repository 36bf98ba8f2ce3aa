import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import dyenet
from dyenet.errors import ConfigError, WeightsError
from dyenet.inference import loading
from dyenet.inference.loading import choose_device, choose_dtype, load_model
from dyenet.models.weights import file_sha256, save_network


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny_model):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    config = {"model": tiny_model.config.model, "inference": {"retrieval": {"frame_step": 7}}}
    save_network(tiny_model.network, config, path, extra={"frames_seen": 12})
    return path


def test_a_weights_file_brings_its_network_and_its_inference_config(weights, tiny_model):
    model = load_model(weights, device="cpu", dtype="float32")
    assert model.inference.retrieval.frame_step == 7
    assert model.inference.retrieval.similarity_threshold == 0.7
    assert model.config.inference.retrieval.frame_step == 7
    assert model.weights["frames_seen"] == 12
    assert len(model.weights["sha256"]) == 64
    assert not model.network.training
    images = torch.randint(0, 256, (1, 3, 40, 48), dtype=torch.uint8)
    with torch.no_grad():
        ours, theirs = (m.network.extract_features(images).coarse for m in (model, tiny_model))
    assert torch.allclose(ours, theirs, atol=0.02 * theirs.abs().max())  # fused, and saved in 16 bits


def test_overrides_reach_the_inference_config_and_unknown_ones_are_refused(weights):
    model = load_model(weights, overrides=["inference.schedule=checkpointed", "inference.flow.type=NoFlow"])
    assert model.inference.schedule == "checkpointed"
    assert model.inference.flow["type"] == "NoFlow"
    with pytest.raises(ConfigError, match="shedule"):
        load_model(weights, overrides=["inference.shedule=checkpointed"])
    with pytest.raises(ConfigError, match="may be 'iterative', 'checkpointed'"):
        load_model(weights, overrides=["inference.schedule=fast"])
    with pytest.raises(ConfigError, match=r"only keys of 'inference\.'"):
        load_model(weights, overrides=["model.patch_size=14"])


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="small, r50, r101"):
        load_model("huge")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="damaged"):
        load_model(broken)
    with pytest.raises(WeightsError, match="no weights file"):
        load_model(tmp_path / "absent.safetensors")


def test_random_weights_are_warned_of_and_always_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "inference" / "loading.py"))  # ships no weights
    with pytest.warns(UserWarning, match="random"):
        one = load_model("small")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        two = load_model("small")
    assert one.weights == {"file": None}
    assert all(map(torch.equal, one.network.state_dict().values(), two.network.state_dict().values()))


def test_bfloat16_where_the_machine_is_fast_at_it(monkeypatch):
    cpu = torch.device("cpu")
    for fast, dtype in [(True, torch.bfloat16), (False, torch.float32)]:
        monkeypatch.setattr(loading, "is_fast_at_bfloat16", lambda device, fast=fast: fast)
        assert choose_dtype("auto", cpu) is dtype
    assert choose_dtype("float16", cpu) is torch.float16
    with pytest.raises(ConfigError, match="dtype is 'int8'"):
        choose_dtype("int8", cpu)


def test_a_device_that_is_not_here_is_refused():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="device 'toaster'"):
        choose_device("toaster")


def test_importing_the_package_is_cheap_and_offers_the_api_on_first_use():
    code = "import sys, dyenet; print('torch' in sys.modules, 'cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert dyenet.load_model is load_model
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = dyenet.no_such_thing


def test_shipped_weights_that_were_changed_are_refused(tmp_path, monkeypatch):
    import dyenet.inference.loading as loading

    folder = tmp_path / "dyenet" / "weights"
    folder.mkdir(parents=True)
    (folder / "small.safetensors").write_bytes(b"not what was shipped")
    (folder / "small.sha256").write_text("0" * 64 + "  small.safetensors\n")
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "dyenet" / "inference" / "loading.py"))
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        loading.load_model("small")


@pytest.mark.parametrize("name", ["small", "r101v2"])
def test_weights_in_the_repository_are_those_of_their_checksum(name):
    folder = Path(loading.__file__).parents[1] / "weights"
    checksum, file = (folder / f"{name}.sha256").read_text().split()
    assert file == f"{name}.safetensors"
    assert file_sha256(folder / file) == checksum


def test_the_settings_of_a_named_model_are_its_configs(monkeypatch):
    altered = loading.load_config("dyenet/small.py")
    altered.inference.retrieval.similarity_threshold = 0.11
    monkeypatch.setattr(loading, "load_config", lambda name: {"dyenet/small.py": altered}[name])
    assert load_model("small", device="cpu").inference.retrieval.similarity_threshold == 0.11
