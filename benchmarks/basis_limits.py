"""Do extrapolated limits hold the known ones? Hartree-Fock and total energies of H2, He, Be and Ne.

Hartree-Fock limits are computed here, in large even-tempered sets, and compared with published ones of
numerical Hartree-Fock; exact energies are published ones. FCI for two electrons (CCSD is the same), CCSD(T)
for Be, MP2 with a frozen core for Ne.

    python benchmarks/basis_limits.py
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _measure import RESULTS, provenance, write_json

from nnbf._text import markdown_table as table
from nnbf.analysis import basis_limit, cardinal_number


@dataclass(frozen=True)
class System:
    """A system with known limits."""

    name: str
    atoms: str
    """Bohr."""
    method: str
    sets: tuple[tuple[str, ...], ...]
    """Sets that are extrapolated together."""
    shells: tuple[tuple[int, float, float, int], ...]
    """(angular momentum, smallest exponent, ratio, number) of the even-tempered set."""
    published_hf: float
    """Numerical Hartree-Fock, Hartree."""
    exact: float | None
    """Total energy, Hartree; None where no limit of the method was found in print."""


def _family(pattern: str, letters: str, *used: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(pattern.replace("X", letter) for letter in part) for part in (used or (letters,)))


# Hartree-Fock: H2 from Sundholm, Chem. Phys. Lett. 149, 251 (1988), at 1.4 bohr; atoms from Lehtola,
# arXiv:1810.11651. Exact: Pachucki, Phys. Rev. A 82, 032509 (2010), at 1.4 bohr; Pekeris, Phys. Rev. 115,
# 1216 (1959); Chakravorty et al., Phys. Rev. A 47, 3649 (1993).
SYSTEMS = (
    System(
        "H2", "H 0 0 0; H 0 0 1.4", "CCSD", _family("cc-pvXz", "dtq5", "dt", "tq", "q5"),
        ((0, 0.02, 2.1, 14), (1, 0.1, 2.3, 7), (2, 0.25, 2.6, 4), (3, 0.6, 2.8, 2)), -1.133629573,
        -1.174475714,
    ),
    System(
        "He", "He 0 0 0", "CCSD", _family("cc-pvXz", "dtq5", "dt", "tq", "q5"), ((0, 0.05, 1.8, 24),),
        -2.861679996, -2.903724377,
    ),
    System(
        "Be", "Be 0 0 0", "CCSD(T)", _family("cc-pcvXz", "dtq", "dt", "tq"), ((0, 0.01, 1.9, 28),),
        -14.573023168, -14.667356,
    ),
    System(
        "Ne", "Ne 0 0 0", "MP2", _family("cc-pvXz", "dtq5", "dt", "tq", "q5"),
        ((0, 0.05, 1.9, 28), (1, 0.03, 1.9, 20)), -128.547098109, None,
    ),
)  # fmt: skip


def main() -> int:
    """Compute all energies, extrapolate, keep the result, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=[system.name for system in SYSTEMS])
    parser.add_argument("--out", type=Path, default=RESULTS / "basis_limits.json")
    given = parser.parse_args()
    about, cases = provenance(), []
    for system in SYSTEMS:
        if system.name in given.names:
            cases.append(measure(system))
            print(cases[-1], flush=True)
    write_json(given.out, {"systems": cases, "provenance": about})
    text = as_tables(cases)
    given.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")
    return 0


def measure(system: System) -> dict[str, Any]:
    """Return the limits of one system, computed, extrapolated and published."""
    energies = {basis: solve(system, basis) for basis in dict.fromkeys(sum(system.sets, ()))}
    hf = solve(system, None)[0]
    rows = []
    for sets in system.sets:
        limit = basis_limit([(cardinal_number(basis), *energies[basis]) for basis in sets])
        rows.append(
            {
                "sets": sets,
                "hf": limit.hf.energy,
                "hf_error": limit.hf.error,
                "energy": limit.energy,
                "error": limit.error,
                "largest": energies[sets[-1]][1],
                "largest_hf": energies[sets[-1]][0],
            }
        )
    return {
        "name": system.name,
        "method": system.method,
        "hf_limit": hf,
        "published_hf": system.published_hf,
        "exact": system.exact,
        "energies": energies,
        "limits": rows,
    }


def solve(system: System, basis: str | None) -> tuple[float, float]:
    """Return Hartree-Fock and total energy; of the even-tempered set only the first, twice."""
    from pyscf import cc, gto, mp, scf

    molecule = gto.M(atom=system.atoms, basis=basis or even_tempered(system), unit="bohr", verbose=0)
    field = scf.RHF(molecule)
    hf = float(field.run(conv_tol=1e-11).e_tot)
    if basis is None:
        return hf, hf
    if system.method == "MP2":
        return hf, hf + float(mp.MP2(field, frozen=1).kernel()[0])
    solver = cc.CCSD(field)
    solver.conv_tol = 1e-9
    total = hf + float(solver.kernel()[0])
    return hf, total + (float(solver.ccsd_t()) if system.method == "CCSD(T)" else 0.0)


def even_tempered(system: System) -> dict[str, list]:
    """Return uncontracted shells with exponents in geometric progression."""
    shells = [
        [angular, [smallest * ratio**k, 1.0]]
        for angular, smallest, ratio, count in system.shells
        for k in range(count)
    ]
    return {line.split()[0]: shells for line in system.atoms.split(";")}


def as_tables(cases: list[dict[str, Any]]) -> str:
    """Return both tables as Markdown."""
    limits = []
    for case in cases:
        computed, known = case["hf_limit"], case["published_hf"]
        difference = f"{1e6 * (computed - known):+.2f}"
        limits.append([case["name"], f"{computed:.6f}", f"{known:.6f}", difference])
    rows = []
    for case in cases:
        for row in case["limits"]:
            cells = [f"{case['name']}, {case['method']}", f"{row['sets'][0]} ... {row['sets'][-1]}"]
            cells += _off(row, "hf", case["published_hf"]) + _off(row, "energy", case["exact"])
            rows.append(cells)
    heads = ["", "sets", "HF: largest set", "limit", "±", "total: largest set", "limit", "±"]
    return "\n".join(
        [
            table(["", "even-tempered", "numerical", "difference (10⁻⁶)"], limits, numbers=(1, 2, 3)),
            "",
            "Less the known limit, mHa:",
            "",
            table(heads, rows, numbers=range(2, 8)),
        ]
    )


def _off(row: dict[str, Any], key: str, known: float | None) -> list[str]:
    if known is None:
        return ["", "", ""]
    largest, error = ("largest_hf", "hf_error") if key == "hf" else ("largest", "error")
    return [f"{1e3 * (row[name] - known):+.3f}" for name in (largest, key)] + [f"{1e3 * row[error]:.3f}"]


if __name__ == "__main__":
    raise SystemExit(main())
