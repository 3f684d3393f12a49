"""Charts of many runs: distances to the best reference by system and over time; convergence of one run."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nnbf.report._errors import spread
from nnbf.report.collection import _svg as draw
from nnbf.report.collection.markdown import difference
from nnbf.report.collection.method import sector_words
from nnbf.report.collection.summary import Summary, references
from nnbf.report.energies import best_reference, reference_label

MOST_LINES = 12
"""Runs that can be told apart in one chart."""
_MOST_SYSTEMS = 40
_LONGEST_NAME = 34
_SMALLEST = 1e-5  # thousandths of the unit; below, differences are rounding and convergence thresholds
_CHEMICAL_ACCURACY = 1.6  # mHa, one kcal/mol
_SERIES = 8


def error_chart(summaries: Sequence[Summary], anchors: Mapping[str, str], unit: str) -> str:
    """Return distances to the best reference, a row for each system; empty where there is none.

    Args:
        summaries: Runs.
        anchors: Part of the page for each name of a run.
        unit: Only those of this unit.
    """
    known = [s for s in summaries if s.unit == unit and s.difference is not None]
    systems = list(dict.fromkeys(s.system for s in known))
    if len(known) < 2:
        return ""
    shown = systems[:_MOST_SYSTEMS]
    left, width, row = 24.0 + 6.4 * max(len(_shortened(system)) for system in shown), 660.0, 24.0
    top = 20.0
    bottom = top + 6 + row * len(shown)
    heights = [max(abs(s.difference or 0.0), _SMALLEST) for s in known if s.system in shown]
    scale = draw.logarithmic_scale(heights, left, width - 24, margin=2.0)
    parts = []
    if unit == "Hartree" and scale.low < _CHEMICAL_ACCURACY:
        edge = scale(_CHEMICAL_ACCURACY)
        parts.append(draw.box(left, top, edge - left, bottom - top, "band"))
        if edge - left > 90:
            parts.append(draw.text(edge, top - 6, "within 1.6 mHa", anchor="end", name="tick"))
    parts.append(
        draw.x_axis(scale, top, bottom, f"distance to the best reference ({known[0].milli})", most=9)
    )
    for index, system in enumerate(shown):
        y = top + 3 + row * (index + 0.5)
        parts.append(draw.text(left - 10, y + 4, _shortened(system), anchor="end"))
        parts.append(draw.straight(left, y, width - 24, y, "grid"))
        for summary in known:
            if summary.system == system and summary.yardstick and summary.difference is not None:
                names = ["dot", "exact" if summary.yardstick.is_exact else "inexact"]
                names += ["below"] if summary.difference < -_SMALLEST else []
                title = f"{summary.entry.name}: {difference(summary)} to {summary.yardstick.label}"
                x = scale(max(abs(summary.difference), _SMALLEST))
                parts.append(draw.dot(x, y, " ".join(names), title=title, target=anchors[summary.entry.name]))
    left_out = len(systems) - len(shown)
    note = f"; the first {len(shown)} of {len(systems)} systems" if left_out else ""
    picture = draw.svg(width, bottom + 42, parts, f"Distance to the best reference of {len(known)} runs")
    return f'<figure class="scroll">{picture}<figcaption>{_legend(known)}{note}</figcaption></figure>'


def progress_chart(summaries: Sequence[Summary], unit: str) -> str:
    """Return distances over time, a line for each run; empty for one, or for too many to tell apart."""
    lines = [(s, _over_time(s)) for s in summaries if s.unit == unit]
    lines = [(s, points) for s, points in lines if len(points) > 1]
    if not 2 <= len(lines) <= MOST_LINES:
        return ""
    width, height, left, bottom = 660.0, 300.0, 70.0, 254.0
    x_scale = draw.logarithmic_scale([x for _, p in lines for x, _ in p], left, width - 16, margin=1.15)
    y_scale = draw.logarithmic_scale([y for _, p in lines for _, y in p], bottom, 10)
    parts = [
        draw.x_axis(x_scale, 10, bottom, "time (s)"),
        draw.y_axis(y_scale, left, width - 16, f"distance ({lines[0][0].milli})"),
    ]
    legend = []
    for index, (summary, points) in enumerate(lines):
        name = f"line s{index % _SERIES}{' dashed' if index >= _SERIES else ''}"
        parts.append(draw.line([(x_scale(x), y_scale(y)) for x, y in draw.thinned(points)], name))
        label = f"{summary.entry.name}, to {summary.yardstick.label}" if summary.yardstick else ""
        legend.append(_key(name, label))
    picture = draw.svg(width, height, parts, f"Distance to the best reference of {len(lines)} runs over time")
    return f'<figure class="scroll">{picture}<figcaption>{"".join(legend)}</figcaption></figure>'


def run_chart(summary: Summary) -> str:
    """Return the convergence of a run: distance to the best reference, else energies; empty without steps."""
    if summary.run.command == "charge":  # its history has finished levels, not steps
        return ""
    width, height, left, bottom, right = 460.0, 250.0, 66.0, 206.0, 388.0
    if summary.run.is_lattice:
        curves, label = _levels(summary)
        right = width - 12
    else:
        curves, label = _steps(summary)
    curves = [(name, points) for name, points in curves if points]
    if not curves:
        return ""
    logarithmic = not label.startswith("energy")
    values = [y for _, points in curves for _, y in points]
    y_scale = (
        draw.logarithmic_scale(values, bottom, 10) if logarithmic else draw.linear_scale(values, bottom, 10)
    )
    last = max(x for _, points in curves for x, _ in points)
    x_scale = draw.Scale(0.0, max(last, 1.0), left, right)
    parts = [draw.x_axis(x_scale, 10, bottom, "step", most=5), draw.y_axis(y_scale, left, right, label)]
    if not summary.run.is_lattice and logarithmic:
        parts.append(_other_methods(summary, y_scale, left, right))
    many = len(curves) > MOST_LINES
    for index, (_, points) in enumerate(curves):
        place = [(x_scale(x), y_scale(y)) for x, y in draw.thinned(points)]
        style = "line muted" if many else f"line s{index % _SERIES}{' dashed' if index >= _SERIES else ''}"
        parts.append(draw.line(place, style))
        if len(points) == 1:
            parts.append(draw.dot(*place[0], "dot exact", radius=3))
    picture = draw.svg(width, height, parts, f"Convergence of {summary.entry.name}")
    keys = ""
    if 1 < len(curves) <= MOST_LINES:
        keys = "".join(
            _key(f"line s{index % _SERIES}{' dashed' if index >= _SERIES else ''}", name)
            for index, (name, _) in enumerate(curves)
        )
    return f"<figure>{picture}<figcaption>{keys}</figcaption></figure>"


def _steps(summary: Summary) -> tuple[list[tuple[str, list[tuple[float, float]]]], str]:
    """The energy of every step of a molecule."""
    yardstick = summary.yardstick
    points = [(float(row.get("step", k)), row["energy"]) for k, row in enumerate(summary.steps)]
    if yardstick is None:
        return [("", points)], f"energy ({summary.unit})"
    distances = [(x, max(1e3 * abs(y - yardstick.energy), _SMALLEST)) for x, y in points]
    return [("", distances)], f"distance to {yardstick.label} ({summary.milli})"


def _levels(summary: Summary) -> tuple[list[tuple[str, list[tuple[float, float]]]], str]:
    """The distance to the exact energy of every level, or its variance where one is not known."""
    exact = {
        (_sector_label(level), level.get("level")): level.get("reference")
        for level in summary.run.result.get("sectors") or ()
    }
    series: dict[tuple[str, Any], list[Mapping[str, Any]]] = {}
    for row in summary.steps:
        series.setdefault((str(row.get("sector", "")), row.get("level")), []).append(row)
    measured = bool(series) and all(exact.get(key) is not None for key in series)
    curves = []
    for key, rows in series.items():
        if measured:
            ys = [1e3 * abs(row["energy"] - exact[key]) for row in rows]
        else:
            ys = [row["variance"] or 0.0 for row in rows]
        name = key[0] if not key[1] else f"{key[0]} level {key[1]}"
        curves.append((name, [(float(k), max(y, _SMALLEST * 1e-4)) for k, y in enumerate(ys)]))
    return curves, f"distance to ED ({summary.milli})" if measured else f"variance ({summary.unit}²)"


def _sector_label(level: Mapping[str, Any]) -> str:
    """The name that rows of a history have for the sector of a level."""
    return sector_words(level).removeprefix("momentum ").replace(", ", " ")


def _over_time(summary: Summary) -> list[tuple[float, float]]:
    yardstick = summary.yardstick
    several = summary.run.is_lattice and len(summary.run.result.get("sectors") or ()) != 1
    if yardstick is None or several:
        return []
    return [
        (row["time_s"], max(1e3 * abs(row["energy"] - yardstick.energy), _SMALLEST))
        for row in summary.steps
        if (row["time_s"] or 0.0) > 0.0
    ]


def _other_methods(summary: Summary, scale: draw.Scale, left: float, right: float) -> str:
    """Distances of the other methods to the yardstick, as lines with labels."""
    found = references(summary.run)
    best = best_reference(found)
    lines = []
    for key, energy in found.items():
        if best is None or energy is None or key == best.key:
            continue
        error = 1e3 * abs(energy - best.energy)
        if scale.low <= error <= scale.high and error > _SMALLEST:
            lines.append((scale(error), reference_label(key)))
    lines.sort()
    places = spread([y for y, _ in lines], 12.0)
    parts = [
        draw.straight(left, y, right, y, "reference") + draw.text(right + 5, place + 4, label, name="tick")
        for (y, label), place in zip(lines, places, strict=True)
    ]
    return "".join(parts)


def _legend(summaries: Sequence[Summary]) -> str:
    exact = [s.yardstick.is_exact for s in summaries if s.yardstick]
    keys = []
    if any(exact):
        keys.append(_dot_key("dot exact", "to FCI or ED"))
    if not all(exact):
        keys.append(_dot_key("dot inexact", "to a reference that is not exact"))
    if any((s.difference or 0.0) < -_SMALLEST for s in summaries):
        keys.append(_dot_key("dot exact below", "hollow: below the reference"))
    return "".join(keys)


def _dot_key(name: str, label: str) -> str:
    swatch = f'<svg class="swatch" viewBox="0 0 14 14" aria-hidden="true">{draw.dot(7, 7, name)}</svg>'
    return f'<span class="key">{swatch}{label}</span>'


def _key(name: str, label: str) -> str:
    swatch = draw.straight(0, 7, 22, 7, name)
    return (
        f'<span class="key"><svg class="swatch" viewBox="0 0 22 14" aria-hidden="true">{swatch}</svg>'
        f"{escape(label)}</span>"
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
