"""Tables of the papers' numbers beside ours, as Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Numbers = Mapping[str, float | None]
"""Column -> percent; None or absent where there is no number."""


@dataclass(frozen=True)
class Row:
    """``paper`` and ``ours`` by column; None where the paper has no such row, or ours was not run."""

    name: str
    paper: Numbers | None
    ours: Numbers | None


@dataclass(frozen=True)
class Comparison:
    """A table: for every column the paper's number (``source``) and ours, in percent; ``notes`` stand below it."""

    title: str
    source: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    @property
    def has_paper(self) -> bool:
        return any(row.paper for row in self.rows)

    def header(self) -> list[str]:
        paper = [f"{column} paper" for column in self.columns] if self.has_paper else []
        return ["", *paper, *(f"{column} ours" for column in self.columns)]

    def cells(self) -> list[list[str]]:
        """Row by row, the name first."""
        out = []
        for row in self.rows:
            paper = [_number(row.paper, c) for c in self.columns] if self.has_paper else []
            out.append([row.name, *paper, *(_number(row.ours, c) for c in self.columns)])
        return out

    def to_markdown(self) -> str:
        """The table with its title above and its notes below."""
        header, cells = self.header(), self.cells()
        widths = [max(len(line[i]) for line in [header, *cells]) for i in range(len(header))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        body = [
            "| "
            + " | ".join(
                _pad(text, width, left=i == 0)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            )
            + " |"
            for line in [header, rule, *cells]
        ]
        return "\n".join([f"**{self.title}** ({self.source})", "", *body, *_listed(self.notes)]) + "\n"

    def to_latex(self) -> str:
        """A ``table`` environment; it needs the package booktabs."""
        header, cells = self.header(), self.cells()
        lines = [
            r"\begin{table}",
            rf"\caption{{{_escape(f'{self.title} ({self.source}). ' + ' '.join(self.notes)).strip()}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            *(" & ".join(map(_escape, line)) + r" \\" for line in [header]),
            r"\midrule",
            *(" & ".join(map(_escape, line)) + r" \\" for line in cells),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def _number(values: Numbers | None, column: str) -> str:
    value = None if values is None else values.get(column)
    return "-" if value is None else f"{value:.1f}"


def _pad(text: str, width: int, *, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)


def _listed(notes: Sequence[str]) -> list[str]:
    return ["", *(f"* {note}" for note in notes)] if notes else []


def _escape(text: str) -> str:
    for character in "\\&%$#_{}":
        text = text.replace(character, r"\textbackslash " if character == "\\" else "\\" + character)
    return text
