"""What a sweep says as a whole: its points as a table, its limits, curves and scaling, its pictures."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nnbf.report import _skeleton as html
from nnbf.report import numbers
from nnbf.report.collection._tables import Cell, Head, sortable
from nnbf.report.collection.details import status_mark, text_of
from nnbf.report.collection.findings_part import findings_part
from nnbf.report.collection.markdown import difference
from nnbf.report.collection.sources import Entry, SweepEntry
from nnbf.report.collection.summary import Summary
from nnbf.report.page import status_words

_KNOWN = frozenset(
    ("format", "name", "command", "energy_unit", "coordinates", "points", "timings", "analysis")
)
_TITLES = {"limits": "Basis-set limits", "curves": "Curves", "scaling": "Growth with size"}
_MEDIA = {".png": "image/png", ".svg": "image/svg+xml"}
_LONG_LIST = 8


def sweep_part(
    sweep: SweepEntry,
    points: Sequence[tuple[Entry, Summary | None]],
    anchors: Mapping[str, str],
    number: int,
) -> str:
    """Return the part of the page about a sweep.

    Args:
        sweep: The sweep.
        points: Its runs.
        anchors: Part of the page for each name of a run.
        number: Its place among the sweeps.
    """
    states = Counter(status_words(entry.status) for entry, _ in points)
    counts = ", ".join(f"{count} {name}" for name, count in states.most_common())
    problem = f'<p class="warning">{escape(sweep.problem)}</p>' if sweep.problem else ""
    return "\n".join(
        [
            f'<h2 id="sweep-{number}">Sweep {escape(sweep.name)}</h2>',
            f'<p class="quiet">{len(points)} points: {escape(counts)}</p>',
            problem,
            _findings(sweep),
            _points(sweep, points, anchors, number),
        ]
    )


def _findings(sweep: SweepEntry) -> str:
    """Limits, curves and growth with their pictures; then whatever else there is of both."""
    content, found = dict(sweep.content), ""
    used: set[str] = set()
    if isinstance(analysis := content.get("analysis"), Mapping):
        pictures = {name: data for name, suffix, data in sweep.pictures if suffix == ".png"}
        found, used = findings_part(analysis, pictures, sweep.name)
        content.pop("limits", None)  # the first of the limits there
    rest = tuple(picture for picture in sweep.pictures if picture[0] not in used)
    return "\n".join([found, summaries(content), _pictures(rest)])


def summaries(content: Mapping[str, Any]) -> str:
    """Return everything in sweep.json beside points and analysis, as tables and lists, whatever it is."""
    parts = []
    for key, value in content.items():
        shown = "" if key in _KNOWN else _shown(value)
        if shown:
            parts.append(f"<h3>{escape(_TITLES.get(key, key.replace('_', ' ').capitalize()))}</h3>{shown}")
    return "\n".join(parts)


def _shown(value: Any) -> str:
    """Objects as a table, a row each; one object as a list of pairs; anything else as text."""
    if isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values()):
        value = [{"": key, **item} for key, item in value.items()]
    if isinstance(value, Mapping):
        return _list([(str(key), _brief(item)) for key, item in value.items() if _brief(item)])
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        keys = list(dict.fromkeys(key for item in value for key in item if not key.endswith("error")))
        kept = [key for key in keys if any(_brief(item.get(key)) for item in value)]
        rows = [[_with_error(item, key) for key in kept] for item in value]
        numeric = [
            k for k, key in enumerate(kept) if all(isinstance(i.get(key), int | float | None) for i in value)
        ]
        return html.table([key.replace("_", " ") for key in kept], rows, numbers=numeric) if kept else ""
    text = _brief(value)
    return f"<p>{escape(text)}</p>" if text else ""


def _with_error(item: Mapping[str, Any], key: str) -> str:
    """A number with its error, which stands beside it as "error" (of an energy) or as "<key>_error"."""
    value = item.get(key)
    error = item.get(f"{key}_error", item.get("error") if key == "energy" else None)
    if isinstance(value, float) and isinstance(error, int | float):
        return numbers.bracketed(value, error)
    return _brief(value)


def _brief(value: Any) -> str:
    """Text of a value; nothing for long lists and nested objects, which stand in records.json."""
    if isinstance(value, Mapping):
        return text_of(value) if all(not isinstance(v, list | Mapping) for v in value.values()) else ""
    if isinstance(value, list):
        flat = all(not isinstance(item, list | Mapping) for item in value)
        return text_of(value) if flat and len(value) <= _LONG_LIST else ""
    if value is None:
        return ""
    return f"{value:.8g}".replace("-", numbers.MINUS) if isinstance(value, float) else text_of(value)


def _list(pairs: Sequence[tuple[str, str]]) -> str:
    inner = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(value)}</dd>" for name, value in pairs
    )
    return f'<dl class="pairs">{inner}</dl>' if inner else ""


def _pictures(pictures: Sequence[tuple[str, str, bytes]]) -> str:
    figures = []
    for name, suffix, content in pictures:
        title = escape(name.replace("_", " "))
        address = f"data:{_MEDIA[suffix]};base64,{base64.b64encode(content).decode()}"
        figures.append(
            f'<figure><img src="{address}" alt="{title}"><figcaption>{title}</figcaption></figure>'
        )
    return f'<div class="pictures">{"".join(figures)}</div>' if figures else ""


def _points(
    sweep: SweepEntry,
    points: Sequence[tuple[Entry, Summary | None]],
    anchors: Mapping[str, str],
    number: int,
) -> str:
    names = list(dict.fromkeys(name for entry, _ in points for name in entry.coordinates))
    numeric = {name: _all_numbers(entry.coordinates.get(name) for entry, _ in points) for name in names}
    heads = [
        Head("point"),
        *(Head(name.replace("_", "-"), numeric[name]) for name in names),
        Head("energy", True, name="energy"),
        Head("difference", True),
        Head("⟨S²⟩", True),
        Head("V-score", True),
        Head("time", True),
        Head("status"),
    ]
    rows = []
    for entry, summary in points:
        short = entry.path.name
        link = f'<a href="#{anchors[entry.name]}">{escape(short)}</a>'
        row = [Cell(link, short, markup=True)]
        row += [
            Cell(text_of(v) if (v := entry.coordinates.get(name)) is not None else "", v) for name in names
        ]
        row += point_cells(summary)
        row.append(Cell(status_mark(entry.status), status_words(entry.status), markup=True))
        rows.append(row)
    table = sortable(heads, rows, f"Points of the sweep {sweep.name}", name=f"sweep-{number}-points")
    return f"<h3>Points</h3>{table}"


def point_cells(summary: Summary | None) -> list[Cell]:
    """Return energy, difference, <S^2>, V-score and time of a run; empty for one that cannot be read."""
    if summary is None:
        return [Cell("")] * 5
    spin = summary.run.result.get("s_squared")
    return [
        Cell(numbers.bracketed(summary.energy, summary.error), summary.energy),
        Cell(difference(summary), summary.difference),
        Cell("" if spin is None else f"{abs(spin):.4f}", spin),
        Cell(numbers.small(summary.v_score), summary.v_score),
        Cell(numbers.seconds(summary.seconds), summary.seconds),
    ]


def _all_numbers(values: Any) -> bool:
    return all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )
