"""Tables and pictures at the end of a run."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from nnbf._text import Column, Table, value_with_error
from nnbf.cli.console import level_label, say_warning
from nnbf.report.energies import best_reference, energy_rows, error_unit
from nnbf.runs import RunDirectory


def tables_of(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a result: energies or levels, and excitations."""
    if result["energy_unit"] != "t" or result.get("sector") is None:
        return [energy_table(result)]
    if result["command"] == "charge":
        return [charge_table(result), gap_table(result)]
    return [levels_table(result)]


def energy_table(result: Mapping[str, Any]) -> Table:
    """Return the table of all energies of a result."""
    best = best_reference(result.get("references") or {})
    columns = ["energy", Column(result.get("energy_unit") or "Hartree", "right")]
    columns.append(Column("" if best is None else f"{error_unit(result)} to {best.label}", "right"))
    table = Table([*columns, "upper bound"])
    for row in energy_rows(result):
        away = "" if row.difference is None else f"{row.difference:+.4f}"
        table.add(row.label, value_with_error(row.energy, row.error), away, row.upper_bound, main=row.is_main)
    return table.without_empty_columns()


def levels_table(result: Mapping[str, Any]) -> Table:
    """Return the levels of a lattice, lowest first."""
    names = ("energy (t)", "above lowest", "relative error", "variance", "deg.", "parameters", "states")
    table = Table(["sector", *(Column(name, "right") for name in names)])
    for level in sorted(result["levels"], key=lambda level: level["energy"]):
        exact, gap = level["reference"], level["energy"] - result["energy"]
        error = (level["error"] ** 2 + result["energy_error"] ** 2) ** 0.5 if gap else 0.0
        relative = None if exact is None else abs(level["energy"] - exact) / max(abs(exact), 1e-12)
        table.add(
            level_label(level),
            value_with_error(level["energy"], level["error"]),
            value_with_error(gap, error, digits=6),
            "" if relative is None else f"{relative:.1e}",
            f"{level['variance']:.1e}",
            str(level["degeneracy"]),
            f"{level['n_parameters']:,}",
            f"{level['n_states']:,}",
        )
    return table


def charge_table(result: Mapping[str, Any]) -> Table:
    """Return the excitations of a lattice."""
    names = ("ω (t)", "weight", "n_k")
    table = Table(["k", "", "level of", *(Column(name, "right") for name in names)])
    occupations = {tuple(row["momentum"]): row["occupation"] for row in result["momenta"]}
    for found in result["excitations"]:
        momentum, target = tuple(found["momentum"]), found["target"]
        note = "" if found["allowed"] else " (forbidden)"
        table.add(
            f"({momentum[0]},{momentum[1]})",
            "removal" if found["change"] < 0 else "addition",
            f"({target[0]},{target[1]}) {found['irrep'] or ''}{note}",
            *(f"{x:.6f}" for x in (found["omega"], found["weight"], occupations[momentum])),
        )
    return table


def gap_table(result: Mapping[str, Any]) -> Table:
    """Return chemical potentials and the charge gap."""
    exact = result.get("exact") or {}
    table = Table(["", Column("energy (t)", "right"), Column("exact", "right")])
    for name, text in {"mu_minus": "mu-", "mu_plus": "mu+", "charge_gap": "gap"}.items():
        if result[name] is not None:
            known = exact.get(name)
            table.add(text, value_with_error(result[name], None), value_with_error(known, None))
    return table


def figures_of(folder: str | Path) -> list[Path]:
    """Draw the figures of a lattice into its report folder; warn where that fails."""
    from nnbf.report.lattice import draw_correlations, draw_structure_factor
    from nnbf.report.spectral import draw_spectral
    from nnbf.report.spectrum import draw_spectrum

    directory = RunDirectory.open(folder)
    result, figures = directory.read_result(), {}
    if result["command"] == "charge":
        figures["spectral_function"] = partial(draw_spectral, result, result["exact"])
    elif len(result["sectors"]) > 1 or result["command"] == "spectrum":
        figures["spectrum"] = partial(draw_spectrum, result)
    found = result.get("observables") or {}
    for name in ("density", "spin"):
        if found.get(f"{name}_structure") is not None:
            figures[f"{name}_structure_factor"] = partial(draw_structure_factor, found[f"{name}_structure"])
    correlations = [found[name] for name in ("density", "spin") if found.get(name) is not None]
    if correlations:
        figures["correlations"] = partial(draw_correlations, *correlations)
    written: list[Path] = []
    for name, draw in figures.items():
        path = directory.report_folder / f"{name}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            draw().savefig(path)
        except OSError as error:
            say_warning(f"no plot was written ({error})")
            return written
        written.append(path)
    return written
