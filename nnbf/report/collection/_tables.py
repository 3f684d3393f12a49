"""Tables that sort: every cell has the value that it is sorted by beside the text that is read."""

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple


class Head(NamedTuple):
    """A column."""

    label: str
    """Its name."""
    numeric: bool = False
    """Whether it is sorted by number, and aligned to the right."""
    title: str = ""
    """What it means, shown when pointed at."""
    name: str = ""
    """Class of its cells."""


class Cell(NamedTuple):
    """A cell: text, unless it is HTML already."""

    text: str
    """What is read."""
    value: Any = None
    """What it is sorted by; None for the text itself."""
    markup: bool = False
    """Whether the text is HTML."""


_TALL = 25  # rows from which on the table scrolls by itself below a head that stays


def sortable(heads: Sequence[Head], rows: Sequence[Sequence[Cell | str]], caption: str, *, name: str) -> str:
    """Return a table whose columns sort.

    Args:
        heads: Columns; one without any text in its cells is left out.
        rows: Cells of every row.
        caption: What the table shows, for those who cannot see it.
        name: Its id in the page.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    kept = [k for k in range(len(heads)) if any(row[k].text for row in cells)]
    first = "".join(_head(heads[k]) for k in kept)
    body = "".join(f"<tr>{''.join(_cell(row[k], heads[k]) for k in kept)}</tr>" for row in cells)
    tall = " tall" if len(cells) > _TALL else ""
    return (
        f'<div class="grid-table{tall}" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="sortable" id="{escape(name)}"><caption class="hidden">{escape(caption)}</caption>'
        f"<thead><tr>{first}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def _head(head: Head) -> str:
    style = ' class="number"' if head.numeric else ""
    title = f' title="{escape(head.title)}"' if head.title else ""
    kind = "number" if head.numeric else "text"
    return (
        f'<th scope="col" aria-sort="none" data-sort="{kind}"{style}{title}>'
        f'<button type="button">{escape(head.label)}</button></th>'
    )


def _cell(cell: Cell, head: Head) -> str:
    names = " ".join(filter(None, ("number" if head.numeric else "", head.name)))
    style = f' class="{names}"' if names else ""
    value = cell.value
    if value is None and head.numeric:
        value = ""
    sorted_by = "" if value is None else f' data-value="{escape(str(value))}"'
    return f"<td{style}{sorted_by}>{cell.text if cell.markup else escape(cell.text)}</td>"
