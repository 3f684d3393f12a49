"""Tables of responses: peaks, and sum rules in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from nnbf._text import Cell, Column, Table, value_with_error
from nnbf._text import small as small_number

_STRENGTHS = {
    "dipole": "oscillator strength",
    "current": "strength",
}
_LEAST = 1e-3  # share of the largest strength


def title(record: Mapping[str, Any]) -> str:
    """Return what a response is of, in words."""
    is_molecule = record["energy_unit"] == "Hartree"
    words = {
        "dipole": "Absorption",
        "density": "S(q, ω) of densities",
        "spin": "S(q, ω) of spins",
        "spin-plus": "S⁻⁺(q, ω)",
        "spin-minus": "S⁺⁻(q, ω)",
        "current": "Optical conductivity",
        "removal": "Ionisation" if is_molecule else "A(k, ω), removal",
        "addition": "Electron attachment" if is_molecule else "A(k, ω), addition",
    }
    return words.get(record["operator"], str(record["operator"]))


def peaks_table(record: Mapping[str, Any], *, most: int = 24) -> Table:
    """Return the lowest peaks of some strength, beside the nearest one of the eigenvector.

    Args:
        record: Content of the JSON file of a response.
        most: Rows at most; of lattices for each channel a few.
    """
    unit, factor = record["unit"], record["factor"]
    sign = -1.0 if record["operator"] == "removal" and record["energy_unit"] == "Hartree" else 1.0
    name = "ionisation energy" if sign < 0 else "ω"
    strength = _STRENGTHS.get(
        record["operator"], "pole strength" if record["energy_unit"] == "Hartree" else "weight"
    )
    columns: list[str | Column] = [
        "",
        Column(f"{name} ({unit})", "right"),
        Column(strength, "right"),
    ]
    columns += [Column(f"eigenvector ({unit})", "right"), Column("its strength", "right")]
    columns += [Column(f"with PT2 ({unit})", "right"), Column("residual", "right")]
    table = Table(columns, caption=title(record))
    main, *others = record["states"]
    beside = others[0]["peaks"] if others else []
    for peak in _chosen(main["peaks"], most, descending=sign < 0):
        nearest = _nearest(peak, beside)
        table.add(
            peak["channel"],
            _estimate(sign * factor * peak["position"], peak, "position_error", factor, 4),
            _estimate(peak["strength"], peak, "strength_error", 1.0, 5),
            "" if nearest is None else _number(sign * factor * nearest["position"], 4),
            "" if nearest is None else _number(nearest["strength"], 5),
            _corrected(sign * factor, peak),
            _small(factor, peak["residual"]),
        )
    return table.without_empty_columns() if table.rows else table


def sum_lines(record: Mapping[str, Any]) -> list[str]:
    """Return sum rules of the first state, one line each."""
    state, lines = record["states"][0], []
    defects = [channel["moments"] for channel in state["channels"]]
    zeroth = [m["total_weight_defect"] for m in defects if m["total_weight_defect"] is not None]
    if zeroth:
        lines.append(f"zeroth moment: largest defect {small_number(max(map(abs, zeroth)))}")
    first = [m["first_moment_defect"] for m in defects if m["first_moment_defect"] is not None]
    if first:
        lines.append(f"first moment: largest defect {small_number(max(map(abs, first)))}")
    f_sums = [m["f_sum_defect"] for m in defects if m.get("f_sum_defect") is not None]
    if f_sums:
        lines.append(f"f-sum rule: largest defect {small_number(max(map(abs, f_sums)))}")
    if "strength_sum" in state:
        lines.append(
            f"oscillator strengths sum to {state['strength_sum']:.4f}, electrons {state['electrons']}"
        )
    for axis, found in (state.get("optical") or {}).items():
        lines.append(
            f"{axis}: Drude weight {found['drude']:.6f} t, regular part {found['regular']:.6f} t, "
            f"f-sum {found['f_sum']:.6f} t"
        )
    for channel in state["channels"]:
        if "single_mode" in channel["moments"]:
            value, error = channel["moments"]["single_mode"]
            single = value_with_error(value, error, digits=4)
            lines.append(f"{channel['label']}: first moment over zeroth {single} {record['energy_unit']}")
    spaces = [channel["space"] for channel in state["channels"]]
    complete = all(channel["complete"] for channel in state["channels"])
    if any("single_mode" in m for m in defects):
        return [*lines, f"{max(spaces):,} samples: two poles with the first four moments of each momentum"]
    lines.append(f"{max(spaces):,} configurations{', all that H reaches' if complete else ''}")
    return lines


def _chosen(peaks: Sequence[Mapping[str, Any]], most: int, *, descending: bool) -> list[Mapping[str, Any]]:
    """Peaks of some strength: nearest to the ground state first, as many of each channel."""
    largest = max((abs(peak["strength"]) for peak in peaks), default=0.0)
    shown = [peak for peak in peaks if abs(peak["strength"]) > _LEAST * largest]
    if descending:
        shown = shown[::-1]
    labels = list(dict.fromkeys(peak["channel"] for peak in peaks))
    if descending or all(label.isalpha() for label in labels):
        return shown[:most]
    each = max(2, most // len(labels))
    return [peak for label in labels for peak in [p for p in shown if p["channel"] == label][:each]]


def _nearest(peak, others) -> Mapping[str, Any] | None:
    same = [other for other in others if other["channel"] == peak["channel"] and other["strength"] > 0]
    strong = [other for other in same if other["strength"] > 0.2 * peak["strength"]]
    return min(strong, key=lambda other: abs(other["position"] - peak["position"]), default=None)


def _estimate(value: float, peak: Mapping[str, Any], key: str, factor: float, digits: int) -> Cell:
    """A number, with its error where it was sampled."""
    error = peak.get(key)
    if error is None:
        return _number(value, digits)
    return Cell(value_with_error(value, factor * error, digits=digits), value)


def _small(factor: float, value: float | None) -> Cell | str:
    return "" if value is None else Cell(small_number(factor * value), factor * value)


def _corrected(factor: float, peak: Mapping[str, Any]) -> Cell | str:
    """Position with the second-order correction, where there is one."""
    correction = peak.get("correction")
    return _number(factor * (peak["position"] + correction), 4) if correction else ""


def _number(value: float, digits: int) -> Cell:
    # No minus before a zero.
    return Cell(f"{round(value, digits) + 0.0:.{digits}f}", value)
