"""What does a larger unit cell of the orbitals buy? Monte Carlo with the same network, samples and time.

Spinless fermions, 6x6, 13 particles, V = 1, Gamma. Plane waves (1x1) are one determinant of an exact
momentum; a cell of a x b sites takes a b determinants an amplitude; orbitals of the whole lattice, all 36
translations. All start from the plane waves of free fermions.

    python benchmarks/orbital_cells.py
"""

import argparse
from pathlib import Path

from _measure import RESULTS, provenance, write_json

from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.space_group import space_group
from nnbf._text import markdown_table as table
from nnbf.drivers import LatticeOptions, Monitor, solve

MODEL = Lattice("tv", "6x6", 13, V=1.0)
#: Exact diagonalisation (VarBench).
EXACT = -22.07737235783086


def main() -> int:
    """Run each cell for the same time, keep the result, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", default=["1,1", "2,2", "3,3", "6,6"])
    parser.add_argument("--seconds", type=float, default=240.0, help="for each cell")
    parser.add_argument("--out", type=Path, default=RESULTS / "orbital_cells.json")
    given = parser.parse_args()
    about = provenance()
    sector = space_group(MODEL).sector((0, 0), None)
    cases = []
    for words in given.cells:
        cell = tuple(int(word) for word in words.split(","))
        options, watched = LatticeOptions(cell=cell), Monitor().within(given.seconds)
        level = solve(MODEL, options, method="vmc", sector=sector, monitor=watched).lowest
        case = {
            "cell": words,
            "determinants": cell[0] * cell[1],
            "parameters": level.n_parameters,
            "steps": level.n_steps,
            "energy": level.energy.value,
            "error": level.energy.error,
            "relative_error": (level.energy.value - EXACT) / abs(EXACT),
            "variance": level.energy.variance,
            "seconds": level.wall_time_s,
        }
        cases.append(case)
        print(case, flush=True)
    write_json(given.out, {"model": str(MODEL), "exact": EXACT, "cases": cases, "provenance": about})
    rows = [
        [
            case["cell"],
            str(case["determinants"]),
            f"{case['parameters']:,}",
            str(case["steps"]),
            f"{case['relative_error']:.1e} ± {case['error'] / abs(EXACT):.0e}",
            f"{case['variance']:.4f}",
        ]
        for case in cases
    ]
    text = table(["cell", "determinants", "parameters", "steps", "relative error", "variance (t²)"], rows)
    given.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
