"""report.md: the tables of many runs for a text or a discussion."""

from collections.abc import Sequence

from nnbf._text import markdown_table as table
from nnbf.report import numbers
from nnbf.report.collection.sources import Collection, Entry
from nnbf.report.collection.summary import Summary
from nnbf.report.collection.varbench import VarBenchRow, varbench_markdown
from nnbf.report.energies import KINDS
from nnbf.report.page import status_words

_HEADS = [
    "run",
    "system",
    "kind",
    "energy",
    "unit",
    "difference",
    "to",
    "variance",
    "V-score",
    "time",
    "status",
]


def collection_markdown(
    collection: Collection, runs: Sequence[tuple[Entry, Summary | None]], rows: Sequence[VarBenchRow]
) -> str:
    """Return the report as Markdown."""
    lines = [f"# {title(collection)}", ""]
    lines.append(table(_HEADS, [_cells(entry, summary) for entry, summary in runs], numbers=(3, 5, 7, 8, 9)))
    problems = [(entry.name, entry.reason) for entry, _ in runs if entry.reason]
    if problems:
        lines += ["", "Problems:", "", *(f"* {_text(name)}: {_text(reason)}" for name, reason in problems)]
    warned = [(entry.name, text) for entry, s in runs if s for text in s.run.result.get("warnings") or ()]
    if warned:
        lines += ["", "Warnings:", "", *(f"* {_text(name)}: {_text(text)}" for name, text in warned)]
    if rows:
        lines += ["", "## VarBench", "", varbench_markdown(rows)]
    return "\n".join([*lines, ""])


def title(collection: Collection) -> str:
    """Return "12 runs", or "12 runs of 2 sweeps"."""
    count = len(collection.entries)
    text = f"{count} run{'s' if count != 1 else ''}"
    if not collection.sweeps:
        return text
    if all(entry.sweep for entry in collection.entries):
        names = [sweep.name for sweep in collection.sweeps]
        return f"{names[0]}: {text}" if len(names) == 1 else f"{text} of {len(names)} sweeps"
    return f"{text}, {len(collection.sweeps)} sweep{'s' if len(collection.sweeps) != 1 else ''}"


def difference(summary: Summary) -> str:
    """Return the distance to the best reference with its unit."""
    return "" if summary.difference is None else f"{differing(summary)} {summary.milli}"


def differing(summary: Summary) -> str:
    """Return the distance to the best reference, with its error where the energy has one."""
    if summary.difference is None or not summary.error:
        return numbers.difference(summary.difference)
    value = numbers.bracketed(summary.difference, 1e3 * summary.error, digits=6)
    return value if value.startswith(numbers.MINUS) else f"+{value}"


def _cells(entry: Entry, summary: Summary | None) -> list[str]:
    if summary is None:
        return [_text(entry.name), *[""] * (len(_HEADS) - 2), status_words(entry.status)]
    return [
        _text(entry.name),
        _text(summary.system),
        KINDS.get(summary.kind, (summary.kind, ""))[0],
        numbers.bracketed(summary.energy, summary.error),
        summary.unit,
        difference(summary),
        summary.yardstick.label if summary.yardstick else "",
        numbers.small(summary.variance),
        numbers.small(summary.v_score),
        numbers.seconds(summary.seconds),
        status_words(entry.status),
    ]


def _text(text: str) -> str:
    """Text of a user as one line that is no markup."""
    return " ".join(text.split()).replace("<", "&lt;").replace("`", "'")
