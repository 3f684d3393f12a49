"""Numbers and tables as people read them: the same on the terminal, in Markdown, HTML, LaTeX and CSV."""

import csv
import html
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from uncertainties import ufloat

MINUS = "−"


def value_with_error(value: float | None, error: float | None, *, digits: int = 8) -> str:
    """Return a number with the uncertainty of its last digits, such as ``-107.6528(3)`` or ``2.41(11)``.

    Digits of the uncertainty follow the Particle Data Group (Review of Particle Physics, introduction):
    two from 100 to 354 of its three leading ones, else one.

    Args:
        value: The number; None gives an empty text.
        error: Its standard error; 0 or None for exact numbers.
        digits: Decimals of an exact number, and the most of any.
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    if not error or not math.isfinite(error) or error < 0.5 * 10.0**-digits:
        return f"{value:.{digits}f}"
    text = f"{ufloat(value, error):fS}"
    decimals = len(text.partition("(")[0].partition(".")[2])
    return text if decimals <= digits else f"{value:.{digits}f}({max(1, round(error * 10**digits))})"


@dataclass(frozen=True)
class Column:
    """A column of a `Table`."""

    title: str
    """Heading."""
    align: str = "left"
    """left or right."""


@dataclass(frozen=True)
class Cell:
    """A cell of a `Table`: text for people, and a value for programs."""

    text: str
    """Text as shown."""
    value: Any = None
    """Value in CSV files, and that tables are sorted by; None: the text."""
    link: str | None = None
    """Address in HTML."""


class Table:
    """Rows of cells that can be written in five formats.

    Example:
        >>> table = Table(["state", Column("energy", "right")], [["A1", Cell("-1.50(2)", -1.5)]])
        >>> print(table.markdown())
        | state | energy |
        |:---|---:|
        | A1 | -1.50(2) |
    """

    def __init__(
        self, columns: Sequence[str | Column], rows: Iterable[Sequence[Any]] = (), *, caption: str = ""
    ) -> None:
        """Make a table.

        Args:
            columns: Columns, or their titles.
            rows: Rows; what is no `Cell` becomes one, None an empty one.
            caption: One line above.

        Raises:
            ValueError: A row has another number of cells.
        """
        self.columns = [Column(column) if isinstance(column, str) else column for column in columns]
        self.rows: list[list[Cell]] = []
        self.caption = caption
        for row in rows:
            self.add(*row)

    def add(self, *cells: Any) -> None:
        """Add a row."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append([cell if isinstance(cell, Cell) else _cell(cell) for cell in cells])

    def without_empty_columns(self) -> "Table":
        """Return the table without columns that say nothing."""
        kept = [k for k in range(len(self.columns)) if any(row[k].text for row in self.rows)]
        rows = [[row[k] for k in kept] for row in self.rows]
        return Table([self.columns[k] for k in kept], rows, caption=self.caption)

    def rich(self) -> Any:
        """Return the table for `rich`."""
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            box=None, pad_edge=False, header_style="bold", title=self.caption or None, title_justify="left"
        )
        for column in self.columns:
            table.add_column(column.title, justify="right" if column.align == "right" else "left")
        for row in self.rows:
            table.add_row(*(Text(cell.text) for cell in row))
        return table

    def markdown(self) -> str:
        """Return the table in Markdown."""
        rule = "|" + "|".join("---:" if c.align == "right" else ":---" for c in self.columns) + "|"
        lines = [_markdown_row(column.title for column in self.columns), rule]
        return "\n".join(lines + [_markdown_row(cell.text for cell in row) for row in self.rows])

    def csv(self) -> str:
        """Return the table as comma-separated values, numbers in full."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(column.title for column in self.columns)
        for row in self.rows:
            writer.writerow(cell.text if cell.value is None else cell.value for cell in row)
        return stream.getvalue()

    def latex(self) -> str:
        """Return the table as a LaTeX ``tabular`` (package booktabs)."""
        spec = "".join("r" if column.align == "right" else "l" for column in self.columns)
        lines = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", _latex_row(c.title for c in self.columns)]
        lines += [r"\midrule", *(_latex_row(cell.text for cell in row) for row in self.rows)]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])

    def html(self) -> str:
        """Return the table in HTML; cells carry their value in ``data-value``."""
        head = "".join(f'<th class="{c.align}">{html.escape(c.title)}</th>' for c in self.columns)
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        body = "\n".join("<tr>" + "".join(map(_html_cell, row, self.columns)) + "</tr>" for row in self.rows)
        return f"<table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _cell(value: Any) -> Cell:
    return Cell("") if value is None else Cell(str(value), value if not isinstance(value, str) else None)


def _markdown_row(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"


_LATEX = {
    "\\": r"\textbackslash{}",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    MINUS: "$-$",
}


def _latex_row(texts: Iterable[str]) -> str:
    return " & ".join("".join(_LATEX.get(mark, mark) for mark in text) for text in texts) + r" \\"


def _html_cell(cell: Cell, column: Column) -> str:
    text = html.escape(cell.text)
    if cell.link is not None:
        text = f'<a href="{html.escape(cell.link)}">{text}</a>'
    value = "" if cell.value is None else f' data-value="{html.escape(str(cell.value))}"'
    return f'<td class="{column.align}"{value}>{text}</td>'
