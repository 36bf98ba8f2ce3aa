"""What the documents promise exists: links, commands, options, configs, make targets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from dyenet.cli import app
from dyenet.config import configs_dir

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]

pytestmark = pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="installed without the repository")


def command_lines(document: Path) -> list[list[str]]:
    """The ``dyenet COMMAND ...`` lines of the fenced blocks, continuation lines joined, comments dropped."""
    blocks = re.findall(r"```(?:sh|bash|console)?\n(.*?)```", document.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if re.search(r"\bdyenet (?!\\)", line)]
    found = []
    for line in words:
        at = next((i for i, word in enumerate(line) if word.rpartition("/")[2] == "dyenet"), None)
        if at is not None and at + 1 < len(line):
            found.append(line[at + 1 :])
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    missing = [t for t in links if "://" not in t and not (document.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_commands_and_options_exist(document):
    wrong = []
    for name, *arguments in command_lines(document):
        if name.startswith("-"):
            continue
        if name not in COMMANDS:
            wrong.append(name)
            continue
        options = {o for p in COMMANDS[name].params for o in (*p.opts, *p.secondary_opts)} | {"-h", "--help"}
        wrong += [
            f"{name} {a}" for a in arguments if a.startswith("-") and a.partition("=")[0] not in options
        ]
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_configs_exist(document):
    named = [
        arguments[0]
        for name, *arguments in command_lines(document)
        if name in {"train", "finetune", "benchmark"} and arguments and arguments[0] != "CONFIG"
    ]
    folder = configs_dir()
    missing = [c for c in named if not any(f.is_file() for f in (ROOT / c, folder / c, folder / f"{c}.py"))]
    assert missing == []


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_readme_shows_at_least_the_promised_commands():
    shown = [line[0] for line in command_lines(ROOT / "README.md")]
    assert {"segment", "train", "benchmark"} <= set(shown)
