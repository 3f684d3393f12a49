"""Random small Hamiltonians and lattices against exact diagonalisation of all their sectors.

Nothing may converge above the ground state by more than 1 mHa (0.001 t) without a line that names what lies
lower, no upper bound may lie below it by more than 1e-8, and nothing may raise. Half of the Hamiltonians are
solved on their listed sectors, half on the determinants that a run selects; they go through a FCIDUMP file.

    nice python benchmarks/hidden_sectors.py                      # 300 and 100, an hour or two
    nice python benchmarks/hidden_sectors.py --hamiltonians 0 9   # seeds 0 to 8
    nice python benchmarks/hidden_sectors.py --lattices 50 100 --hamiltonians 0 0
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from _random_hamiltonians import exact_ground_state, random_hamiltonian, random_lattice

from hamiltonians import read_fcidump, write_fcidump
from nnbf import LatticeOptions, SolverOptions, solve
from nnbf.drivers.monitor import Monitor
from nnbf.runs.job import Job, LatticeLimits, OneSector

OPTIONS = SolverOptions(
    hidden=(16,), n_determinants=1, max_steps=150, time_limit=60.0, projected=False, pt2=False
)
LATTICE_OPTIONS = LatticeOptions(max_steps=150)
#: Above the ground state (Hartree, or t), and below it, relative to energies above 1.
ABOVE, BELOW = 1e-3, 1e-8
#: What lines that name something lower say.
_LOWER = ("was solved", "were solved", "not that of the ground state", "exact diagonalisation")


def hamiltonian_case(seed: int) -> dict[str, Any]:
    """Solve the Hamiltonian of a seed."""
    kind, integrals = random_hamiltonian(seed)
    system, exact = _through_a_file(integrals, references=seed % 5 == 0), exact_ground_state(integrals)
    options = OPTIONS if seed % 2 else replace(OPTIONS, full_sum_limit=0)
    return _judged(kind, exact, solve(system, options).lowest)


def lattice_case(seed: int) -> dict[str, Any]:
    """Solve the lattice of a seed, as `nnbf lattice` does."""
    model, levels = random_lattice(seed), []
    choice = OneSector().choice(model)
    job = Job("lattice", model, LATTICE_OPTIONS, choice=choice, limits=LatticeLimits(time_limit=120.0))
    job.require().compute(Monitor(on_level=levels.append), (), None)
    (level,) = levels
    found = _judged(
        str(model), exact_ground_state(model), replace(level, warnings=(*job.warnings, *level.warnings))
    )
    return found


def _through_a_file(integrals: Any, *, references: bool) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return read_fcidump(write_fcidump(integrals, Path(folder) / "FCIDUMP"), references=references)


def _judged(kind: str, exact: float, level: Any) -> dict[str, Any]:
    lines = [line for line in level.warnings if any(words in line for words in _LOWER)]
    above, faults = float(level.energy) - exact, []
    if level.status == "converged" and above > ABOVE and not lines:
        faults.append(f"converged {above:.6f} above the ground state without a word")
    bounds = [float(e) - exact for e in level.estimates.values() if e.upper_bound and not e.error]
    if min(bounds, default=0.0) < -BELOW * max(1.0, abs(exact)):
        faults.append(f"a bound {-min(bounds):.2e} below the ground state")
    found = {"kind": kind, "exact": exact, "above": above, "status": level.status, "lines": lines}
    return {**found, "warnings": len(level.warnings), "faults": faults}


def judged(name: str, seed: int) -> dict[str, Any]:
    """Solve a case, and compare; what it raises is a fault.

    Args:
        name: hamiltonian or lattice.
        seed: Of the case.
    """
    started = time.monotonic()
    try:
        found = {"hamiltonian": hamiltonian_case, "lattice": lattice_case}[name](seed)
    except Exception:  # every kind of failure counts
        found = {"faults": [traceback.format_exc(limit=-3)], "status": "raised", "kind": "", "lines": []}
    return {"case": name, "seed": seed, **found, "seconds": round(time.monotonic() - started, 2)}


def main() -> int:
    """Go through the seeds; the exit code is 1 where one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, count in (("hamiltonian", 300), ("lattice", 100)):
        parser.add_argument(f"--{name}s", type=int, nargs=2, default=(0, count), metavar=("FIRST", "END"))
    chosen, found = parser.parse_args(), []
    cases = [("hamiltonian", seed) for seed in range(*chosen.hamiltonians)]
    for place, seed in enumerate(range(*chosen.lattices)):
        cases.insert(4 * place + 3, ("lattice", seed))  # mixed: a part of them says something about all
    for name, seed in cases:
        found.append(judged(name, seed))
        print(json.dumps(found[-1]), flush=True)
    print(table(found), file=sys.stderr)
    return int(any(one["faults"] for one in found))


def table(found: list[dict[str, Any]]) -> str:
    """Counts of cases by how they ended."""
    lines = [
        "| case | solved | converged | within 0.001 | above, named | faults | s |",
        "|---|" + "---:|" * 6,
    ]
    for name in ("hamiltonian", "lattice"):
        cases = [one for one in found if one["case"] == name]
        counts = Counter(
            converged=sum(one["status"] == "converged" for one in cases),
            close=sum(one.get("above", 1.0) <= ABOVE for one in cases),
            named=sum(one.get("above", 0.0) > ABOVE and bool(one["lines"]) for one in cases),
            faults=sum(bool(one["faults"]) for one in cases),
        )
        numbers = (len(cases), *(counts[key] for key in ("converged", "close", "named", "faults")))
        seconds = sum(one["seconds"] for one in cases)
        lines.append(f"| {name} | " + " | ".join(map(str, numbers)) + f" | {seconds:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
