from dataclasses import dataclass, field
from typing import Literal

import pytest

from dyenet.config import build, load_config
from dyenet.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 1
    mode: Literal["a", "b"] = "a"


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    name: str = "x"


def test_blocks_become_dataclasses():
    assert build(Outer, {"inner": {"depth": 3}, "name": "y"}) == Outer(inner=Inner(depth=3), name="y")


def test_a_key_nobody_reads_is_an_error_with_a_hint():
    with pytest.raises(ConfigError, match=r"'inner\.dept'; did you mean 'depth'"):
        build(Outer, {"inner": {"dept": 3}})


def test_a_value_outside_the_literal_is_refused():
    with pytest.raises(ConfigError, match=r"'inner\.mode' is 'c'; it may be 'a', 'b'"):
        build(Outer, {"inner": {"mode": "c"}})


def test_overrides_reach_into_the_config():
    config = load_config("dyenet/small.py", ["model.patch_size=14", "model.propagation_head.attention=none"])
    assert config.model.patch_size == 14
    assert config.model.propagation_head.attention == "none"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.patchsize=14", "did you mean 'patch_size'"),
        ("nothing.here=1", "unknown config key 'nothing'"),
        ("model.patch_size", "not of the form key=value"),
    ],
)
def test_wrong_overrides_are_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config("dyenet/small.py", [override])


def test_a_missing_config_says_where_it_looked():
    with pytest.raises(ConfigError, match="no config at nowhere"):
        load_config("nowhere.py")
