"""Are dipole moments, natural occupations and spins of trained states those of FCI?

Solves each system with the defaults of `nnbf.solve` (one of them with a spin penalty) and compares with
PySCF's FCI for the same integrals; dipole moments of FCI are made from its density matrix in atomic
orbitals. Deviations above 1e-3 make the exit code 1.

    python benchmarks/observables.py              # all, a few minutes on one core
    python benchmarks/observables.py H2O LiH
"""

import argparse
import sys
import time
from typing import Any

import numpy as np
from _measure import RESULTS, machine_line, provenance, write_json

import nnbf
from hamiltonians import Molecule, build_molecule
from nnbf._text import markdown_table as table

ALLOWED = 1e-3
"""Largest deviation from FCI: occupations and <S^2>, and e a_0 for the dipole moment."""

NH2 = "N 0 0 0.14; H 0 0.80 -0.50; H 0 -0.80 -0.50"

SYSTEMS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "H2O": ("H2O", {}, {}),
    "LiH": ("LiH", {}, {}),
    "N2": ("N2", {}, {}),
    "N2 2.25": ("N 0 0 0; N 0 0 2.25", {}, {}),
    "N2 2.25, penalty": ("N 0 0 0; N 0 0 2.25", {}, {"spin_flip": "none", "spin_penalty": 0.1}),
    "O2": ("O2", {"spin": 2}, {}),
    "NH2 (UHF)": (NH2, {"spin": 1, "reference": "uhf"}, {}),
}
"""Name -> geometry (angstrom), options of build_molecule, options of the solver."""


def main() -> int:
    """Run the systems, print and keep the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", default=[], metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = options.systems or list(SYSTEMS)
    unknown = set(names) - set(SYSTEMS)
    if unknown:
        parser.error(f"there is no system {sorted(unknown)[0]!r}: give {', '.join(SYSTEMS)}")
    about = provenance()
    rows = []
    for name in names:
        rows.append({"system": name, **compare(name, options.seed)})
        print(f"{name}: {rows[-1]['seconds']:.0f} s", flush=True)
    text = "\n".join(["", machine_line(about), "", as_table(rows), ""])
    print(text)
    if not options.systems:
        write_json(RESULTS / "observables.json", {"provenance": about, "rows": rows})
        (RESULTS / "observables.md").write_text(text, encoding="utf-8")
    return 0 if all(row["met"] for row in rows) else 1


def compare(name: str, seed: int) -> dict[str, Any]:
    """One row: our observables, FCI's, and the deviations."""
    geometry, molecule, solver = SYSTEMS[name]
    system = build_molecule(geometry, "sto-3g", **molecule)
    started = time.perf_counter()
    result = nnbf.solve(system, nnbf.SolverOptions(seed=seed, **solver)).lowest
    seconds = time.perf_counter() - started
    exact = fci_observables(system)
    found = result.observables
    dipole = float(np.linalg.norm(found.dipole_au.value))
    occupations = found.natural_occupations.value
    deviations = {
        "dipole_deviation": abs(dipole - exact["dipole"]),
        "occupation_deviation": float(np.abs(occupations - exact["occupations"]).max()),
        "spin_deviation": abs(result.s_squared - exact["s_squared"]),
    }
    return {
        "kind": found.kind,
        "error_mHa": 1e3 * (result.energy.value - exact["energy"]),
        "dipole": dipole,
        "dipole_fci": exact["dipole"],
        "s_squared": result.s_squared,
        "s_squared_fci": exact["s_squared"],
        **deviations,
        "met": max(deviations.values()) <= ALLOWED,
        "seconds": seconds,
    }


def fci_observables(system: Molecule) -> dict[str, Any]:
    """The ground state of the spin that was asked for, from PySCF alone.

    PySCF's own mean field of the same atoms; its orbitals may differ, its FCI state does not.
    """
    from pyscf import fci, gto, scf

    mol = gto.M(atom=list(system.info.atoms), basis="sto-3g", spin=system.info.two_S, verbose=0)
    field = (scf.ROHF(mol) if mol.spin else scf.RHF(mol)).run(conv_tol=1e-12)
    solver = fci.FCI(field)
    spin = 0.5 * mol.spin * (0.5 * mol.spin + 1.0)
    fci.addons.fix_spin_(solver, shift=0.3, ss=spin)
    solver.conv_tol, solver.max_cycle, solver.nroots = 1e-12, 500, 1
    energy, vector = solver.kernel()
    size = field.mo_coeff.shape[1]
    matrix = fci.direct_spin1.make_rdm1(vector, size, mol.nelec)
    in_atomic_orbitals = field.mo_coeff @ matrix @ field.mo_coeff.T
    return {
        "energy": float(energy),
        "dipole": float(np.linalg.norm(scf.hf.dip_moment(mol, in_atomic_orbitals, unit="AU", verbose=0))),
        "occupations": np.linalg.eigvalsh(matrix)[::-1],
        "s_squared": float(fci.spin_op.spin_square0(vector, size, mol.nelec)[0]),
    }


def as_table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table."""
    heads = ["system (STO-3G)", "kind", "energy - FCI (mHa)", "dipole (e a0)", "FCI"]
    heads += ["max deviation of natural occupations", "<S^2>", "FCI", "within 1e-3", "seconds"]
    cells = [
        [
            row["system"],
            row["kind"],
            f"{row['error_mHa']:.4f}",
            f"{row['dipole']:.6f}",
            f"{row['dipole_fci']:.6f}",
            f"{row['occupation_deviation']:.1e}",
            f"{row['s_squared']:.6f}",
            f"{row['s_squared_fci']:.6f}",
            "yes" if row["met"] else "NO",
            f"{row['seconds']:.0f}",
        ]
        for row in rows
    ]
    return table(heads, cells, numbers=(2, 3, 4, 5, 6, 7, 9))


if __name__ == "__main__":
    sys.exit(main())
