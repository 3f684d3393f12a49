"""What does it help to start a point of a curve from its neighbour?

Every point is solved twice, from Hartree-Fock and from the trained state of its neighbour, with the
default options. All in one process, after two points that do not count: what is compiled later on is
for sizes of V that came up for the first time, as they do on the way from Hartree-Fock.

    python benchmarks/warm_start.py                       # N2/STO-3G, 0.75 to 2.25 angstrom
    python benchmarks/warm_start.py --template "H 0 0 0; F 0 0 {r}" --r 0.8 0.9 1.0 1.2 --first 0.9
"""

import argparse
import time
from pathlib import Path
from typing import Any

from _measure import RESULTS, provenance, write_json

from hamiltonians import Molecule, align_orbitals, build_molecule
from hamiltonians.molecule.references import fci_energy_of_integrals
from nnbf import Level, SolverOptions, solve
from nnbf._text import markdown_table as table
from nnbf.drivers import Monitor

N2 = (0.75, 0.9, 1.05, 1.112, 1.2, 1.35, 1.5, 1.65, 1.8, 1.95, 2.1, 2.25)
ERRORS = (1.6, 0.2)
"""mHa."""


def main() -> int:
    """Solve all points cold and warm, keep the result, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--template", default="N 0 0 0; N 0 0 {r}")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--r", nargs="+", type=float, default=N2)
    parser.add_argument("--first", type=float, default=1.112, help="where the warm curve begins")
    parser.add_argument("--full-sum-limit", type=int, default=SolverOptions.full_sum_limit)
    parser.add_argument("--max-space", type=int, default=SolverOptions.max_space)
    parser.add_argument("--out", type=Path, default=RESULTS / "warm_start.json")
    given = parser.parse_args()
    options = SolverOptions(full_sum_limit=given.full_sum_limit, max_space=given.max_space, pt2=False)
    about = provenance()
    distances = sorted(given.r)
    systems = [build_molecule(given.template.format(r=r), given.basis, references=False) for r in distances]
    exact = [fci_energy_of_integrals(system.integrals) for system in systems]
    first = min(range(len(distances)), key=lambda k: abs(distances[k] - given.first))
    curves(systems[:2], exact[:2], 0, options)  # compiles
    cold, warm = curves(systems, exact, first, options)
    cases = [
        {"r": r, "fci": energy, "cold": one, "warm": other}
        for r, energy, one, other in zip(distances, exact, cold, warm, strict=True)
    ]
    write_json(given.out, {"options": vars(given) | {"out": None}, "cases": cases, "provenance": about})
    text = as_table(cases)
    given.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


def curves(
    systems: list[Molecule], exact: list[float], first: int, options: SolverOptions
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what was measured at every point, cold and warm."""
    cold: list[Any] = [None] * len(systems)
    warm: list[Any] = [None] * len(systems)
    for k, system in enumerate(systems):
        cold[k], found = measured(system, exact[k], options)
        if k == first:
            warm[k], root = cold[k], found
    for path in (range(first + 1, len(systems)), range(first - 1, -1, -1)):
        before, like = root, systems[first]
        for k in path:
            alignment = align_orbitals(systems[k], like=like)
            warm[k], before = measured(alignment.system, exact[k], options, before)
            warm[k]["orbital_overlap"] = alignment.overlap
            like = alignment.system
    return cold, warm


def measured(
    system: Molecule, exact: float, options: SolverOptions, start: Level | None = None
) -> tuple[dict[str, Any], Level]:
    """Solve, and return steps and seconds of CPU time until the errors of `ERRORS`, beside the result."""
    rows: list[tuple[float, float]] = []
    began = time.process_time()

    def take(row: dict[str, Any]) -> None:
        rows.append((1e3 * (row["energy"] - exact), time.process_time() - began))

    found = solve(system, options, monitor=Monitor(take), start=start).lowest
    case: dict[str, Any] = {
        "error_milli": 1e3 * (found.energy.value - exact),
        "first_error_milli": rows[0][0],
        "s_squared": found.s_squared,
        "n_determinants": found.n_determinants,
        "steps": found.n_steps,
        "seconds": time.process_time() - began,
        "started_warm": found.started_warm,
        "warnings": list(found.warnings),
    }
    for error in ERRORS:
        reached = next((k for k, row in enumerate(rows) if row[0] <= error), None)
        case[f"steps_to_{error}"] = None if reached is None else reached + 1
        case[f"seconds_to_{error}"] = None if reached is None else rows[reached][1]
    return case, found


def as_table(cases: list[dict[str, Any]]) -> str:
    """Return one line a point, "cold / warm", then the ratios of the sums over points that started warm."""
    heads = ["r (Å)", "error (mHa)", "<S²>", "first error (mHa)", "steps"]
    heads += [f"steps to {error} mHa" for error in ERRORS] + [f"seconds to {ERRORS[-1]} mHa", "seconds"]
    last = ERRORS[-1]
    lines = []
    for case in cases:
        pair = case["cold"], case["warm"]
        lines.append(
            [
                f"{case['r']:g}",
                " / ".join(f"{one['error_milli']:.4f}" for one in pair),
                " / ".join(f"{abs(one['s_squared']):.0e}" for one in pair),
                " / ".join(f"{one['first_error_milli']:.1f}" for one in pair),
                " / ".join(str(one["steps"]) for one in pair),
                *(" / ".join(str(one[f"steps_to_{error}"]) for one in pair) for error in ERRORS),
                " / ".join(_seconds(one[f"seconds_to_{last}"]) for one in pair),
                " / ".join(_seconds(one["seconds"]) for one in pair),
            ]
        )
    text = [table(heads, lines), "", "Ratios of cold to warm, all points that started warm together:", ""]
    both = [case for case in cases if case["warm"]["started_warm"]]
    for name in ("steps", *(f"{what}_to_{e}" for what in ("steps", "seconds") for e in ERRORS), "seconds"):
        sums = [sum(case[kind][name] or float("nan") for case in both) for kind in ("cold", "warm")]
        text.append(f"* {name.replace('_', ' ')}: {sums[0]:.4g} / {sums[1]:.4g} = {sums[0] / sums[1]:.1f}")
    return "\n".join(text)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
