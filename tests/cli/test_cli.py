"""The command line as a whole: speed of help, exit codes, sentences."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
import warnings

import pytest
import typer

import dyenet
from dyenet import __version__
from dyenet.cli import app, main
from dyenet.cli.common import describe, show_warnings_as_sentences
from dyenet.errors import ConfigError, InputError, WeightsError

COMMANDS = ["segment", "synthesize", "train", "finetune", "evaluate", "benchmark", "experiment"]


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from dyenet.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    print(sorted({'torch', 'mmengine', 'cv2', 'av'} & set(sys.modules)))\n"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.perf_counter() - start < 5  # under a second when nothing else runs


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"Usage: dyenet {command}" in capsys.readouterr().out


def test_no_command_is_missing_from_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out
    assert [name for name in COMMANDS if f"  {name} " not in listed] == []


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"dyenet {__version__}\n"


def test_wrong_option_exits_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["segment", "a.mp4", "--mask", "b.png"])
    assert stop.value.code == 2
    assert "--masks" in capsys.readouterr().err


@pytest.fixture
def failing(monkeypatch):
    """Makes ``dyenet --version`` raise what it is given, from inside the command."""

    def fail_with(error: BaseException):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(typer.core.TyperGroup, "invoke", fail)

    return fail_with


@pytest.mark.parametrize("kind", [InputError, ConfigError, WeightsError])
def test_user_errors_are_one_sentence(kind, failing, capsys):
    failing(kind("the mask is empty"))
    with pytest.raises(SystemExit) as stop:
        main(["train", "x"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "dyenet: the mask is empty\n"


def test_ctrl_c_exits_with_130(failing, capsys):
    failing(KeyboardInterrupt())
    with pytest.raises(SystemExit) as stop:
        main(["train", "x"])
    assert stop.value.code == 130


def test_faults_of_the_program_keep_their_traceback(failing):
    failing(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["train", "x"])


def test_a_full_disk_is_a_user_error_and_a_missing_key_is_not():
    assert "no space left on the disk while writing a/b.png" in describe(
        OSError(errno.ENOSPC, "full", "a/b.png")
    )
    assert "no permission to use a/b.png" in describe(PermissionError(errno.EACCES, "denied", "a/b.png"))
    assert describe(OSError(errno.EIO, "broken")) is None
    assert describe(KeyError("x")) is None


def test_own_warnings_are_sentences(capsys, monkeypatch):
    others = []
    monkeypatch.setattr(warnings, "showwarning", lambda *args: others.append(str(args[0])))
    show_warnings_as_sentences()
    warnings.showwarning(UserWarning("the video is cut short"), UserWarning, dyenet.__file__, 1)
    warnings.showwarning(UserWarning("not ours"), UserWarning, "/elsewhere/torch/x.py", 7)
    assert capsys.readouterr().err == "dyenet: warning: the video is cut short\n"
    assert others == ["not ours"]


def test_app_has_exactly_the_commands():
    assert [c.name for c in app.registered_commands] == COMMANDS
