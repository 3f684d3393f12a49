"""The end of a run on the screen: all energies in one table, then sizes, status and paths."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from nnbf.cli._progress import clock
from nnbf.report.energies import (
    best_reference,
    energy_rows,
    error_unit,
    missing_references,
    truncation_lines,
)

if TYPE_CHECKING:
    from nnbf.report import WrittenReport


def print_summary(
    folder: Path, result: Mapping[str, Any], written: "WrittenReport | None", *, quiet: bool = False
) -> None:
    """Print the table of energies; without `quiet` also what belongs to it.

    Args:
        folder: The run folder.
        result: Content of its result.json.
        written: Paths of the report, where there is one.
        quiet: Print the table alone.
    """
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 110
    console.print(energy_table(result))
    if quiet:
        return
    notes = []
    yardstick = best_reference(result.get("references") or {})
    if yardstick is not None and not yardstick.is_exact:
        notes.append(f"differences are to {yardstick.label}, the best reference here, which is not exact")
    notes += [f"{name}: not computed ({why})" for name, why in missing_references(result)]
    notes += truncation_lines(result)
    notes += _facts(result)
    notes.append(f"run folder  {folder}{os.sep}")
    if written is not None:
        notes += [f"plot        {written.plot}", f"page        {written.page}"]
    console.print("\n".join(notes), markup=False)


def energy_table(result: Mapping[str, Any]) -> Table:
    """Return the table of all energies of a result."""
    unit = result.get("energy_unit") or "Hartree"
    yardstick = best_reference(result.get("references") or {})
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("energy")
    table.add_column(unit, justify="right")
    table.add_column("+/-", justify="right")
    if yardstick is not None:
        table.add_column(f"{error_unit(result)} to {yardstick.label}", justify="right")
    table.add_column("upper bound")
    after_references = False
    for row in energy_rows(result):
        if not row.is_reference and not after_references:
            table.add_section()
            after_references = True
        # Sums over a space have no statistical error: a column of zeros would say nothing.
        cells = [row.label, f"{row.energy:.8f}", f"{row.error:.1e}" if row.error else ""]
        if yardstick is not None:
            cells.append("" if row.difference is None else f"{row.difference:+.4f}")
        table.add_row(*cells, row.upper_bound, style="bold" if row.is_main else None)
    return table


def _facts(result: Mapping[str, Any]) -> list[str]:
    sizes = [
        ("|V|", result.get("n_determinants")),
        ("|C|", result.get("n_connected")),
        ("parameters", result.get("n_parameters")),
    ]
    quality = [("variance", "variance", ".2e"), ("V-score", "v_score", ".2e"), ("<S^2>", "s_squared", ".4f")]
    lines = [
        "  ".join(f"{name} {value:,}" for name, value in sizes if value is not None),
        "  ".join(
            f"{name} {result[key]:{form}}" for name, key, form in quality if result.get(key) is not None
        ),
    ]
    observables = result.get("observables") or {}
    dipole, ratio = observables.get("dipole_debye"), observables.get("inverse_participation_ratio")
    shown = []
    if dipole is not None:
        shown.append(f"dipole {dipole['norm']:.4f}{_error(dipole['norm_error'])} debye")
    if ratio is not None:
        shown.append(f"IPR {ratio['value']:.4f}{_error(ratio['error'])}")
    occupied = observables.get("natural_occupations")
    if occupied is not None:
        # Those far from 0 and 2 tell how strongly the state is correlated.
        active = [n for n in occupied["value"] if 0.02 < n < 1.98]
        if active:
            shown.append("natural occupations " + " ".join(f"{n:.3f}" for n in active[:8]))
    lines.append("  ".join(shown))
    ended = result.get("message") or result["status"]
    lines.append(f"{result.get('n_steps')} steps in {clock(result['wall_time_s'])}: {ended}")
    return [line for line in lines if line]


def _error(value: float | None) -> str:
    return f" +/- {value:.1e}" if value else ""
