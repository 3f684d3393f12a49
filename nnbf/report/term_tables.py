"""States of molecules as tables and as a picture: a row a level, the levels by irrep and spin."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnbf import _text
from nnbf._text import Cell, Column, Table, value_with_error
from nnbf.estimate import KINDS
from nnbf.report.style import INK, MUTED, SERIES, draw_legend, new_panels, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Level = Mapping[str, Any]

_SUBSCRIPTS = {"Sig": "\u03a3", "Pi": "\u03a0", "Del": "\u0394", "Phi": "\u03a6"}
_RAISED = str.maketrans(
    "0123456789+-", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b"
)
_SPINS = {1: "singlet", 2: "doublet", 3: "triplet", 4: "quartet", 5: "quintet", 6: "sextet", 7: "septet"}
_MARGIN = 0.04
"""Least distance of two labels of the picture, in units of its height."""


def has_terms(levels: Sequence[Level]) -> bool:
    """Return whether levels are states of a molecule, with spins and irreps."""
    return any(level.get("term") is not None for level in levels)


def terms(levels: Sequence[Level]) -> list[list[Level]]:
    """Return levels with their degenerate states together, by energy."""
    groups: dict[tuple[str, Any], list[Level]] = {}
    for level in levels:
        groups.setdefault((str(level.get("particles")), level.get("term")), []).append(level)
    return sorted(groups.values(), key=lambda group: max(level["energy"] for level in group))


def term_text(level: Level) -> str:
    """Return the name of a level with raised numbers and Greek letters: 3Sigu+ as \u00b3\u03a3u\u207a."""
    name = str((level.get("sector") or {}).get("label") or "")
    digits = len(name) - len(name.lstrip("0123456789"))
    head, body = name[:digits].translate(_RAISED), name[digits:]
    for word, letter in _SUBSCRIPTS.items():
        if body.startswith(word):
            body = letter + body.removeprefix(word).translate(_RAISED)
    return head + body


def terms_table(levels: Sequence[Level], unit: str = "Hartree") -> Table:
    """Return a row for each level: energy, excitation energies in Hartree and eV, spin, transition.

    Args:
        levels: `levels` of result.json, of a molecule.
        unit: Unit of their energies.
    """
    right = (
        "states", f"energy ({unit})", "to exact (mHa)", "to selected CI (mHa)",
        f"excitation ({unit})", "(eV)", "with PT2 (eV)",
        "extrapolated (eV)", "\u27e8S\u00b2\u27e9", "oscillator strength", "pole strength",
        "double character",
    )  # fmt: skip
    table = Table(
        ["charge", "level", *(Column(title, "right") for title in right), "orbitals", "kind", "status"]
    )
    finished = all(level.get("status") == "converged" for level in levels)
    charges = {level.get("charge") for level in levels}
    groups = terms(levels)
    for group in groups:
        # The highest of them is an upper bound for all.
        level = max(group, key=lambda one: one["energy"])
        strengths = [one.get("oscillator_strength") for one in group]
        known = [value for value in strengths if value is not None]
        exact, is_lowest = level.get("reference"), not level.get("excitation_energy")
        limit, error = level.get("excitation_extrapolated_ev"), level.get("excitation_error_ev")
        table.add(
            f"{level.get('charge_change') or 0:+d}".replace("+0", "") if len(charges) > 1 else "",
            term_text(level),
            Cell(str(len(group)), len(group)),
            _number(level["energy"], 8),
            _above(level["energy"], exact),
            _above(level["energy"], _selected_ci(level) if exact is None else None),
            _number(None if is_lowest else level.get("excitation_energy"), 6),
            _number(None if is_lowest else level.get("excitation_ev"), 4),
            _number(None if is_lowest else level.get("excitation_pt2_ev"), 4),
            Cell("" if is_lowest or limit is None else value_with_error(limit, error, digits=4), limit),
            _number(abs(level.get("s_squared") or 0.0), 4),
            _number(sum(known) if known and not is_lowest else None, 5),
            _number(level.get("pole_strength"), 4),
            _number(level.get("double_character"), 3),
            _orbitals(level),
            KINDS.get(str(level.get("kind")), (str(level.get("kind")), ""))[0],
            "" if finished else str(level.get("status") or "").replace("_", " "),
            main=group is groups[0],
        )  # fmt: skip
    return table.without_empty_columns()


def states_table(levels: Sequence[Level]) -> Table:
    """Return a row for each state, degenerate ones apart, with plain numbers: for other programs."""
    keys = (
        "charge", "level", "term", "multiplicity", "irrep", "component", "degeneracy", "energy", "error",
        "kind", "upper_bound", "reference", "excitation_energy", "excitation_ev", "excitation_pt2_ev",
        "excitation_extrapolated_ev", "excitation_error_ev", "s_squared", "oscillator_strength",
        "pole_strength", "single_excitations", "double_character", "second_order", "variance", "v_score",
        "n_determinants",        "n_parameters", "status",
    )  # fmt: skip
    table = Table(["name", *keys, "dipole_x", "dipole_y", "dipole_z"])
    for level in levels:
        dipole = level.get("transition_dipole") or (None, None, None)
        values = [(level.get("sector") or {}).get("label"), *(level.get(key) for key in keys), *dipole]
        table.add(*(Cell("" if value is None else str(value), value) for value in values))
    return table.without_empty_columns()


def draw_terms(levels: Sequence[Level], unit: str = "Hartree") -> "Figure":
    """Draw energies above the lowest level, a column for each irrep, a colour for each spin.

    Args:
        levels: `levels` of result.json, of a molecule.
        unit: Unit of their energies.
    """
    groups = terms(levels)
    names = list(dict.fromkeys(_irrep(group[0]) for group in groups))
    spins = sorted({int(group[0].get("multiplicity") or 1) for group in groups})
    figure, [[axes]] = new_panels((max(4.6, 2.4 + 1.05 * len(names)), 4.6))
    lowest = min(level["energy"] for level in levels)
    factor = _factor(levels)
    heights = [factor * (max(level["energy"] for level in group) - lowest) for group in groups]
    reach = max(max(heights, default=0.0), 1e-3)
    for index, name in enumerate(names):
        mine = [k for k, group in enumerate(groups) if _irrep(group[0]) == name]
        places = spread([heights[k] for k in mine], _MARGIN * reach)
        for k, place in zip(mine, places, strict=True):
            group, height = groups[k], heights[k]
            color = SERIES[spins.index(int(group[0].get("multiplicity") or 1)) % len(SERIES)]
            axes.plot([index - 0.3, index + 0.1], [height, height], color=color, linewidth=2.4)
            exact = group[0].get("reference")
            if exact is not None:
                axes.plot(index - 0.36, factor * (exact - lowest), "_", color=INK, markersize=8)
            times = f" \u00d7{len(group)}" if len(group) > 1 else ""
            axes.annotate(
                f"{height:.2f}{times}", (index + 0.1, height), (index + 0.14, place), fontsize=7.5, color=INK,
                va="center", arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5},
            )  # fmt: skip
    for spin in spins:
        words = _SPINS.get(spin, f"2S + 1 = {spin}")
        axes.plot([], [], color=SERIES[spins.index(spin) % len(SERIES)], linewidth=2.4, label=words)
    if any(level.get("reference") is not None for level in levels):
        axes.plot([], [], "_", color=INK, markersize=8, label="exact")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.35)
    axes.set_ylim(-0.05 * reach, 1.08 * reach)
    axes.set_ylabel("energy above the lowest level (eV)" if factor != 1.0 else f"energy ({unit})")
    axes.set_xlabel("irrep")
    draw_legend(axes, beside=True)
    return figure


def _irrep(level: Level) -> str:
    text = term_text(level).lstrip("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    charge = level.get("charge_change")
    return f"{text} ({charge:+d})" if charge else text


def _factor(levels: Sequence[Level]) -> float:
    """Electronvolt in a unit of energy, from a level that says both."""
    for level in levels:
        if level.get("excitation_energy"):
            return float(level["excitation_ev"]) / float(level["excitation_energy"])
    return 1.0


def _orbitals(level: Level) -> str:
    """Leading natural transition orbitals: hole \u2192 particle, by numbers of the orbitals from 0."""
    pairs = level.get("natural_transition_orbitals") or ()
    return ", ".join(
        f"{pair['hole']}\u2192{pair['particle']} {pair['weight']:.2f}" for pair in pairs[:2]
        if pair["weight"] > 0.1
    )  # fmt: skip


def _above(energy: float, known: float | None) -> Cell:
    if known is None:
        return Cell("")
    return Cell(_text.difference(1e3 * (energy - known)), 1e3 * (energy - known))


def _selected_ci(level: Level) -> float | None:
    """Energy of the eigenvector on the same determinants, where a network stands beside it."""
    if level.get("kind") == "selected_ci":
        return None
    return ((level.get("estimates") or {}).get("selected_ci") or {}).get("energy")


def _number(value: float | None, digits: int) -> Cell:
    if value is None:
        return Cell("")
    value = 0.0 if abs(value) < 0.5 * 10.0**-digits else value
    return Cell(f"{value:.{digits}f}".replace("-", _text.MINUS), value)
