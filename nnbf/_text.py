"""Numbers, tables and commands as people read them: on the terminal, in Markdown, HTML, LaTeX and CSV."""

import csv
import html
import io
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uncertainties import ufloat

from nnbf._runtime import BEFORE_COMMANDS

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
        return f"{value:z.{digits}f}"  # no minus before a zero
    text = f"{ufloat(value, error):fS}"
    decimals = len(text.partition("(")[0].partition(".")[2])
    return text if decimals <= digits else f"{value:.{digits}f}({max(1, round(error * 10**digits))})"


def count(value: int | None) -> str:
    """Return a whole number with narrow spaces between thousands."""
    return "" if value is None else f"{value:,}".replace(",", "\u202f")


def small(value: float | None) -> str:
    """Return a number that may be tiny, such as a variance."""
    return "" if value is None else "0" if value == 0 else f"{value:.2e}"


def difference(value: float | None, error: float | None = None) -> str:
    """Return a difference in thousandths, with its sign; tiny ones in scientific notation.

    Args:
        value: The difference.
        error: Its standard error; 0 or None for exact numbers.
    """
    if value is None:
        return ""
    if error:
        text = value_with_error(value, error, digits=6)
        return text if text.startswith("-") else f"+{text}"
    if abs(value) < 1e-6:  # 1e-9 Hartree: less than references are converged to
        return "0"
    return f"{value:+.0e}" if abs(value) < 5e-4 else f"{value:+.3f}"


def duration(seconds: float | None) -> str:
    """Return a duration: "8.3 s", "4 min 10 s", "2 h 05 min"."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def setting(value: Any) -> str:
    """Return the value of an option, or any value of a JSON file."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {setting(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(
            f"({setting(item)})" if isinstance(item, list | tuple | Mapping) else setting(item)
            for item in value
        )
    return str(value)


def typed(command: str, *words: Any) -> str:
    """Return a command as a message quotes it.

    Args:
        command: Word after the name of the program.
        words: What follows, such as a run folder.

    Example:
        >>> print(typed("resume", "runs/demo"))
        'nnbf resume runs/demo'
    """
    return f"'{shlex.join(['nnbf', *BEFORE_COMMANDS, command, *map(str, words)])}'"


@dataclass(frozen=True)
class Column:
    """A column of a `Table`."""

    title: str
    """Heading."""
    align: str = "left"
    """left, right (numbers), or wide (long text)."""
    note: str = ""
    """Meaning, shown in HTML when pointed at."""


@dataclass(frozen=True)
class Cell:
    """A cell of a `Table`: text for people, and a value for programs."""

    text: str
    """Text as shown."""
    value: Any = None
    """Value in CSV files, and that tables are sorted by; None: the text."""
    link: str | None = None
    """Address in HTML."""
    style: str = ""
    """Class in HTML."""


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
        self.main: set[int] = set()
        """Numbers of the rows that stand out."""
        self.caption = caption
        for row in rows:
            self.add(*row)

    def add(self, *cells: Any, main: bool = False) -> None:
        """Add a row; a `main` one stands out."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        if main:
            self.main.add(len(self.rows))
        self.rows.append([cell if isinstance(cell, Cell) else _cell(cell) for cell in cells])

    def without_empty_columns(self) -> "Table":
        """Return the table without columns that say nothing."""
        kept = [k for k in range(len(self.columns)) if any(row[k].text for row in self.rows)]
        rows = [[row[k] for k in kept] for row in self.rows]
        table = Table([self.columns[k] for k in kept], rows, caption=self.caption)
        table.main = set(self.main)
        return table

    def rich(self) -> Any:
        """Return the table for `rich`."""
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            box=None, pad_edge=False, header_style="bold", title=self.caption or None, title_justify="left"
        )
        for column in self.columns:
            table.add_column(column.title, justify="right" if column.align == "right" else "left")
        for number, row in enumerate(self.rows):
            table.add_row(*(Text(cell.text) for cell in row), style="bold" if number in self.main else None)
        return table

    def markdown(self) -> str:
        """Return the table in Markdown."""
        rule = "|" + "|".join("---:" if c.align == "right" else ":---" for c in self.columns) + "|"
        lines = [_markdown_row(column.title for column in self.columns), rule]
        for number, row in enumerate(self.rows):
            texts = [cell.text.replace("<", "&lt;") for cell in row]
            if number in self.main:
                texts[0] = f"**{texts[0]}**"
            lines.append(_markdown_row(texts))
        return "\n".join(lines)

    def csv(self) -> str:
        """Return the table as comma-separated values, numbers in full."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(column.title for column in self.columns)
        for row in self.rows:
            writer.writerow(cell.text if cell.value is None else cell.value for cell in row)
        return stream.getvalue()

    def latex(self, label: str = "") -> str:
        """Return the table for LaTeX with booktabs: a ``tabular``, or with a label a ``longtable``."""
        spec = "".join("r" if column.align == "right" else "l" for column in self.columns)
        head = _latex_row(latex(column.title) for column in self.columns)
        rows = [_latex_row(map(_latex_cell, row, self.columns)) for row in self.rows]
        if not label:
            lines = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule", *rows]
            return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])
        caption = rf"\caption{{{latex(self.caption)}}}\label{{{label}}}\\"
        heads = [r"\toprule", head, r"\midrule"]
        lines = [rf"\begin{{longtable}}{{{spec}}}", caption, *heads, r"\endfirsthead", *heads, r"\endhead"]
        return "\n".join([*lines, r"\bottomrule", r"\endfoot", *rows, r"\end{longtable}", ""])

    def html(self, name: str = "", *, sortable: bool = False) -> str:
        """Return the table in HTML, with cells that carry their value in ``data-value``.

        Args:
            name: Its id.
            sortable: Put heads into buttons, for a script that sorts.
        """
        head = "".join(_html_head(column, sortable=sortable) for column in self.columns)
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        rows = []
        for number, row in enumerate(self.rows):
            style = ' class="main"' if number in self.main else ""
            rows.append(f"<tr{style}>" + "".join(map(_html_cell, row, self.columns)) + "</tr>")
        identity = (f' id="{html.escape(name)}"' if name else "") + (' class="sortable"' if sortable else "")
        body = "\n".join(rows)
        return f"<table{identity}>{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def markdown_table(
    heads: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Iterable[int] = ()
) -> str:
    """Return a table in Markdown; the columns `numbers` are aligned to the right."""
    right = set(numbers)
    columns = [Column(head, "right" if k in right else "left") for k, head in enumerate(heads)]
    return Table(columns, rows).markdown()


def _cell(value: Any) -> Cell:
    return Cell("") if value is None else Cell(str(value), value if not isinstance(value, str) else None)


def _markdown_row(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"


_LATEX = {
    "\\": r"\textbackslash{}",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
    MINUS: r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "⟨": r"\ensuremath{\langle}",
    "⟩": r"\ensuremath{\rangle}",
    "∞": r"\ensuremath{_\infty}",
    "ω": r"\ensuremath{\omega}",
    "²": r"\ensuremath{^2}",
    "⁻³": r"\ensuremath{^{-3}}",
    "±": r"\ensuremath{\pm}",
    "\u202f": r"\,",
}
_LATEX_MARKS = re.compile("|".join(re.escape(mark) for mark in sorted(_LATEX, key=len, reverse=True)))
_NUMBER = re.compile(r"([-+]?[\d.\u202f]+(?:\([\d.]+\))?)(?:e([-+]?\d+))?")


def latex(text: str) -> str:
    """Return text as LaTeX prints it; characters that its fonts lack become question marks."""
    quoted = _LATEX_MARKS.sub(lambda match: _LATEX[match.group()], " ".join(text.split()))
    return "".join(c if c.isascii() or (c.isalpha() and ord(c) < 0x180) else "?" for c in quoted)


def _latex_cell(cell: Cell, column: Column) -> str:
    number = _NUMBER.fullmatch(cell.text.replace(MINUS, "-")) if column.align == "right" else None
    if number is None:
        return latex(cell.text)
    power = rf" \times 10^{{{int(number[2])}}}" if number[2] else ""
    return f"${number[1]}{power}$".replace("\u202f", r"\,")


def _latex_row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"


def _html_head(column: Column, *, sortable: bool) -> str:
    title, note = html.escape(column.title), f' title="{html.escape(column.note)}"' if column.note else ""
    if not sortable:
        return f'<th class="{column.align}"{note}>{title}</th>'
    kind = "number" if column.align == "right" else "text"
    return (
        f'<th class="{column.align}" scope="col" aria-sort="none" data-sort="{kind}"{note}>'
        f'<button type="button">{title}</button></th>'
    )


def _html_cell(cell: Cell, column: Column) -> str:
    text = cell.text.replace("-", MINUS) if column.align == "right" else cell.text
    text = html.escape(text)
    if cell.style:
        text = f'<span class="{html.escape(cell.style)}">{text}</span>'
    if cell.link is not None:
        text = f'<a href="{html.escape(cell.link)}">{text}</a>'
    known = cell.value is not None or column.align == "right"
    value = f' data-value="{html.escape("" if cell.value is None else str(cell.value))}"' if known else ""
    return f'<td class="{column.align}"{value}>{text}</td>'
