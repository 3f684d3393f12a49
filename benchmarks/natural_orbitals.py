"""How much energy do frozen natural orbitals cost, and how much of that does the MP2 correction bring back?

CCSD(T) in the kept orbitals, without and with E_MP2(all) - E_MP2(kept), against CCSD(T) with all virtual
orbitals; chemical core frozen.

    python benchmarks/natural_orbitals.py                       # H2O and N2, cc-pVTZ
    python benchmarks/natural_orbitals.py NH3 --basis cc-pvdz --density ccsd
"""

import argparse
from pathlib import Path
from typing import Any

from _measure import RESULTS, provenance, write_json

from hamiltonians import build_molecule, reference_energies
from nnbf._text import markdown_table as table

THRESHOLDS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)


def main() -> int:
    """Measure each molecule at each threshold, keep the result, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("molecules", nargs="*", default=["H2O", "N2"])
    parser.add_argument("--basis", default="cc-pvtz")
    parser.add_argument("--density", choices=("mp2", "ccsd"), default="mp2")
    parser.add_argument("--thresholds", nargs="+", type=float, default=THRESHOLDS)
    parser.add_argument("--out", type=Path, default=RESULTS / "natural_orbitals.json")
    given = parser.parse_args()
    about = provenance()
    cases: list[dict[str, Any]] = []
    for molecule in given.molecules:
        whole = build_molecule(molecule, given.basis, frozen_core=True, references=False)
        target, _ = reference_energies(whole.integrals, fci_limit=0)
        for threshold in given.thresholds:
            case = measure(molecule, given.basis, threshold, given.density, target)
            cases.append(case)
            print(case, flush=True)
    write_json(
        given.out, {"basis": given.basis, "density": given.density, "cases": cases, "provenance": about}
    )
    text = as_table(cases)
    given.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")
    return 0


def measure(
    molecule: str, basis: str, threshold: float, density: str, target: dict[str, float | None]
) -> dict[str, Any]:
    """Return sizes and errors in mHa at one threshold; `target` are energies with all virtual orbitals."""
    system = build_molecule(
        molecule,
        basis,
        frozen_core=True,
        fno_threshold=threshold,
        fno_density=density,
        references=False,
    )
    truncation = system.truncation
    found, _ = reference_energies(system.integrals, fci_limit=0)
    assert truncation is not None
    case: dict[str, Any] = {
        "molecule": molecule,
        "threshold": threshold,
        "n_virtual": truncation.n_virtual,
        "n_kept": truncation.n_kept,
        "dropped_occupation": truncation.dropped_occupation,
        "correction": 1e3 * truncation.correction,
    }
    for method in ("ccsd", "ccsd_t"):
        energy, exact = found[method], target[method]
        assert energy is not None
        assert exact is not None
        case[f"{method}_without"] = 1e3 * (energy - exact)
        case[f"{method}_with"] = 1e3 * (energy + truncation.correction - exact)
    return case


def as_table(cases: list[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    rows = [
        [
            case["molecule"],
            f"{case['threshold']:.0e}".replace("e-0", "e-"),
            f"{case['n_kept']} of {case['n_virtual']}",
            f"{case['ccsd_without']:.2f}",
            f"{case['ccsd_with']:+.2f}",
            f"{case['ccsd_t_without']:.2f}",
            f"{case['ccsd_t_with']:+.2f}",
        ]
        for case in cases
    ]
    heads = ["", "threshold", "virtual orbitals", "CCSD (mHa)", "+ MP2", "CCSD(T) (mHa)", "+ MP2"]
    return table(heads, rows, numbers=range(1, 7))


if __name__ == "__main__":
    raise SystemExit(main())
