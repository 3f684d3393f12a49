"""What the analyses of a sweep have found: basis-set limits, curves, growth with size, with pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from nnbf.analysis.curves import COLUMNS
from nnbf.report import _skeleton as html
from nnbf.report import numbers
from nnbf.report.energies import reference_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnbf.report._theme import Theme

_UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_LEAST_ERROR = 1e-3  # of an exponent


def findings_part(
    analysis: Mapping[str, Any], pictures: Mapping[str, bytes], sweep: str
) -> tuple[str, set[str]]:
    """Return the findings of a sweep as HTML, and the names of the pictures in it.

    Args:
        analysis: The entry `analysis` of sweep.json; what does not look as expected is left out.
        pictures: PNGs in the folder of the sweep, by name without suffix.
        sweep: Name of the sweep, for titles.
    """
    parts: list[str] = []
    used: set[str] = set()
    for key, (title, table, draw) in _SECTIONS.items():
        found = analysis.get(key)
        if not found:
            continue
        parts.append(f"<h3>{title}</h3>")
        try:
            parts.append(table(found))
            for record in found:
                name = str(record.get("picture") or "").removesuffix(".png")
                if name in pictures:
                    description = f"{title}: {name.replace('_', ' ')}"
                    parts.append(_picture(pictures[name], partial(draw, record, sweep), description))
                    used.add(name)
            parts.append(_notes(note for record in found for note in record.get("notes") or ()))
        except _UNFIT as error:
            parts.append(_notes([f"cannot be shown: {type(error).__name__}: {error}"]))
    notes = analysis.get("notes")
    parts.append(_notes(notes if isinstance(notes, list) else ()))
    return "\n".join(part for part in parts if part), used


def _picture(light: bytes, draw: "Callable[[Theme], Figure]", description: str) -> str:
    """The picture of the sweep, and the same in dark where it can be drawn again."""
    from nnbf.report._theme import DARK
    from nnbf.report.plot import png

    images = {"light": light}
    try:
        images["dark"] = png(draw(DARK))
    except _UNFIT:  # a picture of another version: the light one serves for both
        return f'<div class="finding plain">{html.picture(images, description)}</div>'
    return f'<div class="finding">{html.picture(images, description)}</div>'


def _limits(found: Sequence[Mapping[str, Any]]) -> str:
    methods = [name for name in ("ccsd_t", "fci") if any(name in (r.get("references") or {}) for r in found)]
    heads = ["of", "limit (Ha)", "HF", "correlation", "less exact (mHa)"]
    heads += [f"{reference_label(name)} limit" for name in methods] + ["formula"]
    rows = []
    for record in found:
        exact = record.get("exact")
        name = " ".join(str(word) for word in (record.get("name"), record.get("family")) if word)
        row = [name, numbers.bracketed(record["energy"], record["error"])]
        row += [
            numbers.bracketed(record[part]["energy"], record[part]["error"]) for part in ("hf", "correlation")
        ]
        away = None if exact is None else 1e3 * (record["energy"] - exact)
        row.append("" if away is None else numbers.bracketed(away, 1e3 * record["error"], digits=4))
        for method in methods:
            other = (record.get("references") or {}).get(method) or {}
            row.append(numbers.bracketed(other.get("energy"), other.get("error")))
        rows.append([*row, str(record.get("formula") or "")])
    last = len(heads) - 1
    table = html.table(heads, rows, numbers=range(1, last), notes=(last,))
    return table + _notes(["Extrapolated: no upper bounds. Brackets are a range meant to hold the limit."])


def _curves(found: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for record in found:
        constants = record.get("constants") or {}
        if record.get("name"):
            parts.append(f"<h4>{escape(str(record['name']))}</h4>")
        if constants:
            rows = [
                [
                    "this work" if method == "energy" else reference_label(method),
                    *(numbers.bracketed(values[key], values[f"{key}_error"], digits=7) for _, key in COLUMNS),
                ]
                for method, values in constants.items()
            ]
            heads = ["", *(head for head, _ in COLUMNS)]
            parts.append(html.table(heads, rows, numbers=range(1, len(heads))))
        parallel = record.get("to_fci")
        if parallel:
            parts.append(
                f"<p>To FCI: at most {1e3 * parallel['largest']:.4f} mHa off, non-parallelity "
                f"{1e3 * parallel['error']:.4f} mHa.</p>"
            )
    return "".join(parts)


def _constant(values: Mapping[str, Any], key: str) -> str:
    return numbers.bracketed(values[key], values[f"{key}_error"], digits=7)


def _growth(found: Sequence[Mapping[str, Any]]) -> str:
    from nnbf.report._sweep_size import LABELS

    rows = []
    for record in found:
        against = str(record["against"])
        for quantity in record["quantities"]:
            for name, series in record["series"].items():
                law = (series.get("laws") or {}).get(quantity)
                if law is None:
                    continue
                low, high = law["interval"]
                error = max(law["exponent_error"], _LEAST_ERROR)
                rows.append(
                    [
                        LABELS.get(quantity, quantity),
                        LABELS.get(against, against),
                        name,
                        numbers.bracketed(law["exponent"], error, digits=3),
                        f"{low:.1f} … {high:.1f}".replace("-", numbers.MINUS),
                        str(law["n_points"]),
                    ]
                )
    heads = ["power of", "against", "series", "exponent", "95 %", "points"]
    return html.table(heads, rows, numbers=range(3, 6)) if rows else ""


def _draw_limit(record: Mapping[str, Any], sweep: str, theme: "Theme") -> "Figure":
    from nnbf.report.sweeps import draw_basis_limit

    title = " ".join(str(word) for word in (record.get("name") or sweep, record.get("family")) if word)
    return draw_basis_limit(record, exact=record.get("exact"), title=title, theme=theme)


def _draw_curve(record: Mapping[str, Any], sweep: str, theme: "Theme") -> "Figure":
    from nnbf.report.sweeps import draw_curve

    constants = (record.get("constants") or {}).get("energy")
    title = str(record.get("name") or sweep)
    label = record["x_label"]
    return draw_curve(record["points"], x="x", x_label=label, constants=constants, title=title, theme=theme)


def _draw_growth(record: Mapping[str, Any], sweep: str, theme: "Theme") -> "Figure":
    from nnbf.report.sweeps import draw_scaling

    group = "series" if any(record["series"]) else None
    rows, names = record["points"], record["quantities"]
    return draw_scaling(rows, names, against=record["against"], group=group, title=sweep, theme=theme)


def _notes(lines: Iterable[Any]) -> str:
    return "".join(f'<p class="quiet">{escape(str(line))}</p>' for line in lines)


_SECTIONS = {
    "basis_limits": ("Basis-set limits", _limits, _draw_limit),
    "curves": ("Curves", _curves, _draw_curve),
    "scaling": ("Growth with size", _growth, _draw_growth),
}
"""Title, table and picture of every kind of finding."""
