"""The command line. Commands are thin layers over the Python API.

Nothing heavy is imported here: ``dyenet --help`` answers before torch would have loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from dyenet import __version__
from dyenet.cli import evaluate, segment, synthesize, train
from dyenet.cli.common import describe, show_warnings_as_sentences

app = typer.Typer(
    name="dyenet",
    help="Segment the objects of a video from their masks in one frame (DyeNet, VS-ReID).",
    epilog="Start with: dyenet segment my.mp4 --masks first.png --out result",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("segment", short_help="Segment the objects of a video.")(segment.segment)
app.command("synthesize", short_help="Make a clip with exact masks to try it on.")(synthesize.synthesize)
app.command("train", short_help="Train a model.")(train.train)
app.command("finetune", short_help="Fine-tune on first-frame masks only.")(train.finetune)
app.command("evaluate", short_help="Score predicted masks: J, F, G.")(evaluate.evaluate)
app.command("benchmark", short_help="Run a model over a data set and score it.")(evaluate.benchmark)
app.command("experiment", short_help="One of the papers' tables or figures.")(evaluate.experiment)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"dyenet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; exits with 0, 2 (the user can mend it: one sentence on stderr) or 130 (Ctrl-C).

    Any other exception is a fault of the program and keeps its traceback.
    """
    show_warnings_as_sentences()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="dyenet")
    except KeyboardInterrupt:  # early versions of typer let it through; later ones exit with 130 themselves
        sys.exit(130)
    except Exception as error:
        sentence = describe(error)
        if sentence is None:
            raise
        print(f"dyenet: {sentence}", file=sys.stderr)
        sys.exit(2)
