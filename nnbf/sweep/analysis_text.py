"""What the analyses of a sweep have found, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nnbf._text import markdown_table as table
from nnbf.analysis.curves import COLUMNS
from nnbf.report._axes import with_error
from nnbf.report._sweep_size import LABELS
from nnbf.report.energies import reference_label
from nnbf.sweep.findings import Findings

_ZETA = {2: "D", 3: "T", 4: "Q"}


def findings_markdown(found: Findings) -> list[str]:
    """Return the lines of all findings, a heading for each kind; nothing where there are none."""
    lines: list[str] = []
    if found.limits:
        lines += ["", "## Basis-set limits", "", *_limits([finding.record for finding in found.limits])]
    if found.curves:
        lines += ["", "## Curves"]
        for finding in found.curves:
            lines += ["", *_curve(finding.record)]
    if found.scaling:
        lines += ["", "## Growth with size", "", *_sizes(found.scaling[0].record)]
        for finding in found.scaling:
            lines += ["", *_growth(finding.record)]
    if found.notes:
        lines += ["", "## Notes", "", *(f"* {note}" for note in found.notes)]
    return lines


def _limits(records: Sequence[Mapping[str, Any]]) -> list[str]:
    named = any(record["name"] for record in records)
    exact = any(record["exact"] is not None for record in records)
    methods = [name for name in ("ccsd_t", "fci") if any(name in record["references"] for record in records)]
    heads = [*(["of"] if named else []), "sets", "limit (Ha)", "±", "HF", "correlation"]
    heads += ["less exact (10⁻³)"] if exact else []
    heads += [f"{reference_label(name)} limit" for name in methods]
    rows = []
    for record in records:
        sets = "".join(_ZETA.get(point["cardinal"], str(point["cardinal"])) for point in record["points"])
        row = [*([record["name"]] if named else []), f"{record['family'].replace('X', '{' + sets + '}')}"]
        row += [f"{record['energy']:.6f}", f"{record['error']:.6f}"]
        row += [
            f"{record[part]['energy']:.6f} ± {record[part]['error']:.6f}" for part in ("hf", "correlation")
        ]
        if exact:
            known = record["exact"]
            row.append("" if known is None else f"{1e3 * (record['energy'] - known):+.3f}")
        for name in methods:
            other = record["references"].get(name)
            row.append("" if other is None else f"{other['energy']:.6f} ± {other['error']:.6f}")
        rows.append(row)
    lines = [table(heads, rows, numbers=range(2 if named else 1, len(heads))), ""]
    lines += ["Extrapolated: no upper bounds. ± is a range that is meant to hold the limit.", ""]
    for formula in dict.fromkeys(record["formula"] for record in records):
        lines.append(f"* {formula}")
    lines += _notes(records)
    return [*lines, *_pictures(records)]


def _curve(record: Mapping[str, Any]) -> list[str]:
    lines = [f"### {record['name']}", ""] if record["name"] else []
    constants = record["constants"]
    if constants:
        rows = []
        for method, values in constants.items():
            label = "this work" if method == "energy" else reference_label(method)
            rows.append([label, *(with_error(values[key], values[f"{key}_error"]) for _, key in COLUMNS)])
        heads = ["", *(head for head, _ in COLUMNS)]
        lines += [table(heads, rows, numbers=range(1, len(heads))), ""]
    parallel = record["to_fci"]
    if parallel is not None:
        lines.append(
            f"* to FCI: at most {1e3 * parallel['largest']:.4f} mHa off, non-parallelity "
            f"{1e3 * parallel['error']:.4f} mHa"
        )
    spins = [row["s_squared"] for row in record["points"] if row["s_squared"] is not None]
    if spins:
        lines.append(f"* <S²> from {min(spins):.4f} to {max(spins):.4f}")
    return [*lines, *_notes([record]), *_pictures([record])]


def _sizes(record: Mapping[str, Any]) -> list[str]:
    """Table of all points: names, the size, the quantities."""
    named = any(row["series"] for row in record["points"])
    columns = [record["against"], *record["quantities"]]
    heads = ["point", *(["series"] if named else []), *(LABELS.get(name, name) for name in columns)]
    rows = [
        [row["directory"], *([row["series"]] if named else []), *(_number(row.get(name)) for name in columns)]
        for row in sorted(record["points"], key=lambda row: (row["series"], row[record["against"]] or 0))
    ]
    return [table(heads, rows, numbers=range(2 if named else 1, len(heads)))]


def _growth(record: Mapping[str, Any]) -> list[str]:
    """Table of the exponents against one size."""
    named = any(record["series"])
    against = LABELS.get(record["against"], record["against"])
    heads = [f"power of {against}", *(["series"] if named else []), "exponent", "95 %", "points"]
    rows, notes = [], []
    for quantity in record["quantities"]:
        for name, series in record["series"].items():
            label = [LABELS.get(quantity, quantity), *([name] if named else [])]
            law = series["laws"].get(quantity)
            if law is None:
                notes.append(f"* no power law of {', '.join(label)}: {series['missing'].get(quantity)}")
                continue
            low, high = law["interval"]
            value = with_error(law["exponent"], max(law["exponent_error"], 1e-3))
            rows.append([*label, value, f"{low:.2f} ... {high:.2f}", str(law["n_points"])])
    lines = [table(heads, rows, numbers=range(len(heads) - 3, len(heads))), ""] if rows else []
    return [*lines, *notes, *_pictures([record])]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,d}"
    return f"{value:.4g}"


def _notes(records: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"* {record['name'] + ': ' if record['name'] else ''}{note}"
        for record in records
        for note in record["notes"]
    ]


def _pictures(records: Iterable[Mapping[str, Any]]) -> list[str]:
    return ["", *(f"![{record['picture']}]({record['picture']})" for record in records)]
