"""The findings of a sweep, as tables and notes: for sweep.md, the terminal and reports.

They are read off the entry ``analysis`` of sweep.json alone; see `nnbf.sweep` for who writes it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnbf._text import Cell, Column, Table, value_with_error
from nnbf.analysis.basis_limit import cardinal_letters
from nnbf.analysis.curves import COLUMNS
from nnbf.analysis.scaling import LABELS
from nnbf.estimate import reference_label

UNFIT = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""Errors of records that another version has written."""
_METHODS = ("ccsd_t", "fci")
_LEAST_ERROR = 1e-3  # of an exponent: a fit without scatter is no proof of a law


@dataclass(frozen=True)
class FindingsBlock:
    """A table with what belongs below it."""

    heading: str = ""
    """Name of the curve, or ""."""
    table: Table | None = None
    """Table; None where there is nothing to put in it."""
    notes: tuple[str, ...] = ()
    """Remarks, one line each."""
    records: tuple[Mapping[str, Any], ...] = ()
    """Entries of sweep.json whose pictures belong here: `picture` is the name of the file."""

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of the pictures in the folder of the sweep."""
        return tuple(str(record["picture"]) for record in self.records if record.get("picture"))


@dataclass(frozen=True)
class FindingsSection:
    """All findings of one kind."""

    kind: str
    """Key in `analysis`: basis_limits, curves, scaling or notes."""
    title: str
    """Heading."""
    blocks: tuple[FindingsBlock, ...]
    """Content, in order."""


def findings_sections(analysis: Mapping[str, Any]) -> list[FindingsSection]:
    """Return the findings of a sweep; sections without content are left out.

    Args:
        analysis: The entry ``analysis`` of sweep.json. A part that does not look as expected becomes a note.
    """
    sections = []
    for kind, (title, make) in _SECTIONS.items():
        found = analysis.get(kind)
        if not found:
            continue
        try:
            blocks = tuple(make(found))
        except UNFIT as error:
            blocks = (FindingsBlock(notes=(f"cannot be shown: {type(error).__name__}: {error}",)),)
        sections.append(FindingsSection(kind, title, blocks))
    return sections


def findings_markdown(analysis: Mapping[str, Any]) -> list[str]:
    """Return the lines of the findings in Markdown, a heading for each kind; nothing where there are none.

    Args:
        analysis: As for `findings_sections`.
    """
    lines: list[str] = []
    for section in findings_sections(analysis):
        lines += ["", f"## {section.title}"]
        for block in section.blocks:
            parts = [
                f"### {block.heading}" if block.heading else "",
                block.table.markdown() if block.table else "",
                "\n".join(f"* {note}" for note in block.notes),
                "\n".join(f"![{name}]({name})" for name in block.pictures),
            ]
            for part in filter(None, parts):
                lines += ["", *part.splitlines()]
    return lines


def _limits(records: Sequence[Mapping[str, Any]]) -> Iterable[FindingsBlock]:
    exact = any(record.get("exact") is not None for record in records)
    methods = [name for name in _METHODS if any(name in _references(record) for record in records)]
    heads = ["limit (Ha)", "HF", "correlation", *(["less exact (mHa)"] if exact else [])]
    heads += [f"{reference_label(name)} limit" for name in methods]
    table = Table(["of", "sets", *(Column(head, "right") for head in heads)])
    for record in records:
        row = [record, record["hf"], record["correlation"]]
        cells = [_energy(part["energy"], part["error"]) for part in row]
        if exact:
            known = record.get("exact")
            away = None if known is None else 1e3 * (record["energy"] - known)
            cells.append(_number(away, 1e3 * record["error"], 4))
        others = [_references(record).get(name) or {} for name in methods]
        cells += [_energy(other.get("energy"), other.get("error")) for other in others]
        table.add(record.get("name") or "", _sets(record), *cells)
    notes = ["extrapolated: no upper bounds; brackets are a range that is meant to hold the limit"]
    notes += dict.fromkeys(str(record["formula"]) for record in records if record.get("formula"))
    yield FindingsBlock("", table.without_empty_columns(), (*notes, *_notes(records)), tuple(records))


def _curves(records: Sequence[Mapping[str, Any]]) -> Iterable[FindingsBlock]:
    for record in records:
        table = Table(["", *(Column(head, "right") for head, _ in COLUMNS)])
        for method, values in (record.get("constants") or {}).items():
            label = "this work" if method == "energy" else reference_label(method)
            table.add(label, *(_number(values[key], values[f"{key}_error"], 7) for _, key in COLUMNS))
        notes = []
        if parallel := record.get("to_fci"):
            notes.append(
                f"to FCI: at most {1e3 * parallel['largest']:.4f} mHa off, "
                f"non-parallelity {1e3 * parallel['error']:.4f} mHa"
            )
        spins = [row["s_squared"] for row in record["points"] if row.get("s_squared") is not None]
        if spins:
            notes.append(f"<S²> from {min(spins):.4f} to {max(spins):.4f}")
        notes += record.get("notes") or ()
        shown = table if table.rows else None
        yield FindingsBlock(str(record.get("name") or ""), shown, tuple(notes), (record,))


def _growth(records: Sequence[Mapping[str, Any]]) -> Iterable[FindingsBlock]:
    yield FindingsBlock("", _sizes(records[0]))
    for record in records:
        against = str(record["against"])
        heads = (Column(head, "right") for head in ("exponent", "95 %", "points"))
        table = Table([f"power of {LABELS.get(against, against)}", "series", *heads])
        notes = []
        for quantity in record["quantities"]:
            label = LABELS.get(quantity, quantity)
            for name, series in record["series"].items():
                law = (series.get("laws") or {}).get(quantity)
                if law is None:
                    why = (series.get("missing") or {}).get(quantity)
                    notes.append(f"no power law of {', '.join(filter(None, (label, name)))}: {why}")
                    continue
                exponent = _number(law["exponent"], max(law["exponent_error"], _LEAST_ERROR), 3)
                low, high = law["interval"]
                table.add(label, name, exponent, f"{low:.2f} ... {high:.2f}", law["n_points"])
        shown = table.without_empty_columns() if table.rows else None
        yield FindingsBlock("", shown, tuple(notes), (record,))


def _sizes(record: Mapping[str, Any]) -> Table | None:
    """Table of all points: name, size, quantities."""
    rows = record.get("points") or ()
    keys = [record["against"], *record["quantities"]]
    table = Table(["point", "series", *(Column(LABELS.get(key, key), "right") for key in keys)])
    for row in sorted(rows, key=lambda row: (row.get("series") or "", row.get(record["against"]) or 0)):
        cells = [_plain(row.get(key)) for key in keys]
        table.add(row["directory"], row.get("series") or "", *cells)
    return table.without_empty_columns() if table.rows else None


def _remarks(notes: Sequence[Any]) -> Iterable[FindingsBlock]:
    yield FindingsBlock(notes=tuple(map(str, notes)))


def _sets(record: Mapping[str, Any]) -> str:
    """Family with the sets of the points: "cc-pV{DTQ}Z"."""
    letters = cardinal_letters([point["cardinal"] for point in record.get("points") or ()])
    family = str(record.get("family") or "")
    return family.replace("X", f"{{{letters}}}") if letters else family


def _references(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return record.get("references") or {}


def _energy(value: float | None, error: float | None) -> Cell:
    return _number(value, error, 8)


def _number(value: float | None, error: float | None, digits: int) -> Cell:
    return Cell(value_with_error(value, error, digits=digits), value)


def _plain(value: float | None) -> Cell | None:
    if value is None:
        return None
    return Cell(f"{value:,d}" if isinstance(value, int) else f"{value:.4g}", value)


def _notes(records: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for record in records:
        start = f"{record['name']}: " if record.get("name") else ""
        yield from (f"{start}{note}" for note in record.get("notes") or ())


_SECTIONS: dict[str, tuple[str, Callable[[Any], Iterable[FindingsBlock]]]] = {
    "basis_limits": ("Basis-set limits", _limits),
    "curves": ("Curves", _curves),
    "scaling": ("Growth with size", _growth),
    "notes": ("Notes", _remarks),
}
