"""Where does the network win? What it, selected CI and coupled cluster reach on the same machine.

Molecules near equilibrium, whose states are peaked on a few determinants, hydrogen sheets, rings and chains
in STO-6G, whose states are spread out, and larger systems, whatever comes out. The network runs as
`nnbf molecule ... --method auto` does, in at most the time of `--seconds` and with that of its final energy
on top; selected CI (the project's own, without a network) in canonical orbitals, or in natural ones of UHF
where the network has local orbitals and these are better.

    python benchmarks/when_it_wins.py                            # everything: seven hours
    python benchmarks/when_it_wins.py --only "sheet 3x4" --seconds 600
    python benchmarks/when_it_wins.py --fcidump Fe2S2.FCIDUMP    # a file, in natural orbitals of UHF
    python benchmarks/when_it_wins.py --plot-only                # draw the last result again
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from _measure import RESULTS, machine_line, provenance, read_json, write_json

from hamiltonians import Molecule
from hamiltonians.formats.fcidump import FileSpec
from hamiltonians.molecule.spec import MoleculeSpec
from nnbf._text import markdown_table as table
from nnbf.determinants import spin_flip_representatives
from nnbf.drivers import SolverOptions, solve
from nnbf.drivers.kind_of_state import suited_run
from nnbf.drivers.monitor import Monitor
from nnbf.operators import MolecularHamiltonian
from nnbf.states.selected_ci import in_natural_orbitals, selected_ci

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "when_it_wins.png"
SIZES = (4096, 16384)
"""Determinants of selected CI; spin-flip pairs count once."""


def sheet(width: int, height: int, spacing: float) -> MoleculeSpec:
    """Atoms of hydrogen on a square grid, spacing in Angstrom."""
    places = [(spacing * x, spacing * y) for x in range(width) for y in range(height)]
    return MoleculeSpec("; ".join(f"H {x:.10g} {y:.10g} 0" for x, y in places), "sto-6g")


BENT = "O 0 0 0; H 0.757 0.5859 0; H -0.757 0.5859 0"
PYRAMID = "P 0 0 0; H 1.1933 0 0.7708; H -0.59665 1.03343 0.7708; H -0.59665 -1.03343 0.7708"
PEAKED: dict[str, MoleculeSpec] = {
    **{
        f"{name}/STO-3G": MoleculeSpec(name)
        for name in ("H2O", "NH3", "N2", "CH4", "C2", "O2", "H2S", "Li2O", "C2H4O")
    },
    "LiF/STO-3G": MoleculeSpec("Li 0 0 0; F 1 0 0"),
    "LiCl/STO-3G": MoleculeSpec("Li 0 0 0; Cl 1 0 0"),
    "PH3/STO-3G": MoleculeSpec(PYRAMID),
    "H2O/6-31G": MoleculeSpec("H2O", "6-31g"),
    "N2/6-31G, frozen core": MoleculeSpec("N2", "6-31g", frozen_core=True),
    "H2O/cc-pVDZ": MoleculeSpec(BENT, "cc-pvdz"),
}
"""Most of the weight is in a few determinants."""
SPREAD_OUT: dict[str, MoleculeSpec] = {
    "H12, sheet 3x4, 1.8 A": sheet(4, 3, 1.8),
    "H12, sheet 3x4, 1.0 A": sheet(4, 3, 1.0),
    "H12, ring, 1.0 A": MoleculeSpec("H12-ring-1.0", "sto-6g"),
    **{
        f"H10, chain, {bohr} bohr": MoleculeSpec(f"H10-chain-{bohr}", "sto-6g", unit="bohr")
        for bohr in (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8, 3.2, 3.6)
    },
    "H16, sheet 4x4, 1.8 A": sheet(4, 4, 1.8),
    "H16, chain, 2.0 A": MoleculeSpec("H16-chain-2.0", "sto-6g"),
}
"""The weight is in many determinants, the more the larger the spacing."""
TWISTED = "C 0 0 0.667; C 0 0 -0.667; H 0 0.923 1.238; H 0 -0.923 1.238; H 0.923 0 -1.238; H -0.923 0 -1.238"
ACETIC_ACID = (
    "C 0 0.15456 0; O 0.166384 1.360084 0; O -1.236449 -0.415036 0; H -1.867646 0.333582 0; "
    "C 1.073776 -0.892748 0; H 2.048189 -0.408135 0; H 0.968661 -1.528353 0.881747; "
    "H 0.968661 -1.528353 -0.881747"
)
LARGER: dict[str, MoleculeSpec] = {
    "N2/cc-pVDZ, 1.09 A": MoleculeSpec("N 0 0 0; N 0 0 1.09", "cc-pvdz"),
    "N2/cc-pVDZ, 2.0 A": MoleculeSpec("N 0 0 0; N 0 0 2.0", "cc-pvdz"),
    "C3H6/STO-3G": MoleculeSpec("C3H6"),
    "C2H4O2/STO-3G": MoleculeSpec(ACETIC_ACID),
    "Na2CO3/STO-3G": MoleculeSpec("Na2CO3"),
    "O3/6-31G, frozen core": MoleculeSpec("O3", "6-31g", frozen_core=True),
    "C2H4, twisted by 90 degrees, 6-31G, frozen core": MoleculeSpec(TWISTED, "6-31g", frozen_core=True),
    "Cr2/STO-3G, 2.0 A, frozen core": MoleculeSpec("Cr 0 0 0; Cr 0 0 2.0", frozen_core=True),
    "H30, chain, 2.4 bohr": MoleculeSpec("H30-chain-2.4", "sto-6g", unit="bohr"),
    "H36, sheet 6x6, 1.8 A": sheet(6, 6, 1.8),
}
"""Too large for an exact energy here."""
GROUPS = {"Peaked states": PEAKED, "Spread-out states": SPREAD_OUT, "Larger systems": LARGER}
CASES = {**PEAKED, **SPREAD_OUT, **LARGER}
KNOWN = {
    "Li2O/STO-3G": -87.8926932463,
    "C2H4O/STO-3G": -151.1235697155,
    "H2O/cc-pVDZ": -76.243769,
    "H16, sheet 4x4, 1.8 A": -7.752218,
    "H16, chain, 2.0 A": -7.66653,
    "N2/cc-pVDZ, 2.0 A": -108.9851887,
    "H30, chain, 2.4 bohr": -15.69355,
    "Fe2S2_30e20o_LiChan": -116.60560912,
    **dict.fromkeys(LARGER.keys() - {"N2/cc-pVDZ, 2.0 A", "H30, chain, 2.4 bohr"}),
}
"""Published or DMRG energies (Hartree) where FCI is too large, None where there is none."""


def main() -> int:
    """Run everything, write the numbers, draw the figure, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--fcidump", type=Path, help="integrals of a case of its own, named after the file")
    parser.add_argument("--seconds", type=float, default=600.0, help="time of the network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "when_it_wins.json")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--plot-only", action="store_true", help="draw what the JSON file has")
    given = parser.parse_args()
    known = read_json(given.out) if given.plot_only or given.out.exists() else {"cases": {}}
    content = {**known, "provenance": known.get("provenance") if given.plot_only else provenance()}
    if given.fcidump is not None:
        cases: dict[str, MoleculeSpec | FileSpec] = {given.fcidump.stem: FileSpec(str(given.fcidump), False)}
    else:
        cases = {name: spec for name, spec in CASES.items() if given.only in name and not given.plot_only}
    for name, spec in cases.items():
        if not given.plot_only:
            content["cases"][name] = measured(name, spec, given.seconds, given.seed)
            write_json(given.out, content)
            print(f"{name}: {content['cases'][name]}", flush=True)
    draw(content["cases"], given.figure)
    text = f"{report(content['cases'])}\n\n{machine_line(content['provenance'])}\n"
    given.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten: {given.out}, .md beside it, and {given.figure}")
    return 0


def built(name: str, spec: MoleculeSpec | FileSpec) -> tuple[Molecule, dict[str, float | None]]:
    """A system, with its exact energy and those of coupled cluster (Hartree) where there are any."""
    if isinstance(spec, FileSpec):
        system = spec.build()
        natural = in_natural_orbitals(MolecularHamiltonian(system.integrals))
        return replace(system, integrals=natural.integrals), {"exact": KNOWN.get(name)}
    large = name in KNOWN
    system = replace(spec, fci_limit=0 if large else 30_000_000).build()
    unrestricted = replace(spec, reference="uhf", stable=True, fci_limit=0).build()
    coupled = {"ccsd_t": system.references.get("ccsd_t"), "uccsd_t": unrestricted.references.get("ccsd_t")}
    return system, {"exact": KNOWN[name] if large else system.references["fci"], **coupled}


def measured(name: str, spec: MoleculeSpec | FileSpec, seconds: float, seed: int) -> dict[str, Any]:
    """All energies (Hartree) of a case, with the seconds of those that are ours."""
    system, references = built(name, spec)
    run = suited_run(system, spec, SolverOptions(seed=seed, time_limit=seconds, max_steps=100_000))
    found: dict[str, Any] = {
        **dict.fromkeys(("exact", "ccsd_t", "uccsd_t")),
        **references,
        "selected_ci": {str(size): diagonalised(system, run.system, size) for size in SIZES},
        "group": next((title for title, group in GROUPS.items() if name in group), "Larger systems"),
    }
    rows: list[dict[str, Any]] = []
    started = time.monotonic()
    level = solve(run.system, run.options, method=run.method, monitor=Monitor(rows.append)).lowest
    pt2 = level.estimates.get("pt2")
    found["network"] = {
        "choice": run.text,
        "method": run.method,
        "energy": level.energy.value,
        "error": level.energy.error,
        "kind": level.energy.kind,
        "pt2": None if pt2 is None else pt2.value,
        "variational": None if "variational" not in level.estimates else level.estimates["variational"].value,
        "s_squared": level.s_squared,
        "parameters": level.n_parameters,
        "status": level.status,
        "steps": len(rows),
        "seconds": time.monotonic() - started,
        "curve": [(row["time_s"], row["energy"]) for row in rows],
    }
    return found


def diagonalised(system: Molecule, local: Molecule, size: int) -> dict[str, float | None]:
    """Selected CI with so many determinants: energy, with second order, seconds.

    In canonical orbitals, or where the network has local ones in natural orbitals of UHF if these are better.
    """
    hamiltonians = [MolecularHamiltonian(system.integrals)]
    if local is not system:
        hamiltonians.append(in_natural_orbitals(MolecularHamiltonian(local.integrals)))
    flip = system.integrals.two_S == 0
    tries = []
    for hamiltonian in hamiltonians:
        begin = hamiltonian.reference.reshape(1, -1)
        begin = spin_flip_representatives(begin) if flip else begin
        # A list of 16,384 in thirty orbitals is connected to 1e9: half an hour each.
        corrected = hamiltonian.n_orbitals < 30 or size == SIZES[0]
        tries.append(selected_ci(hamiltonian, begin, flip, size=size, with_second_order=corrected))
    found = min(tries, key=lambda one: one.energy)
    total = None if found.second_order is None else found.energy + found.second_order
    return {"energy": found.energy, "pt2": total, "seconds": found.seconds}


def report(cases: Mapping[str, Any]) -> str:
    """Tables of distances to the exact energy."""
    head = ["system", "exact (Hartree)", "CCSD(T)", "UCCSD(T)"]
    head += [f"selected CI, {size:,} (with PT2; s)" for size in SIZES]
    head += ["network", "kind", "on V (with PT2)", "steps", "s", "<S^2>"]
    texts = []
    for title in GROUPS:
        rows = [row(name, case) for name, case in cases.items() if case["group"] == title]
        if rows:
            texts.append(
                f"{title}: energy above the exact one, mHa (without one: Hartree).\n\n{table(head, rows)}"
            )
    return "\n\n".join(texts)


def row(name: str, case: Mapping[str, Any]) -> list[str]:
    """A row of the table."""

    def above(energy: float | None) -> str:
        if energy is None:
            return "-"
        return f"{energy:.5f}" if case["exact"] is None else f"{1e3 * (energy - case['exact']):+.3g}"

    network, selected = case["network"], case["selected_ci"].values()
    error = f" +- {1e3 * network['error']:.2g}" if network["error"] else ""
    on_space = "-"
    if network["variational"] is not None:
        on_space = f"{above(network['variational'])} ({above(network['pt2'])})"
    return [
        *(name, "-" if case["exact"] is None else f"{case['exact']:.6f}"),
        *(above(case["ccsd_t"]), above(case["uccsd_t"])),
        *(f"{above(s['energy'])} ({above(s['pt2'])}; {s['seconds']:.1f})" for s in selected),
        above(network["energy"]) + error,
        network["kind"],
        on_space,
        str(network["steps"]),
        f"{network['seconds']:.0f}",
        "-" if network["s_squared"] is None else f"{network['s_squared']:.4f}",
    ]


def draw(cases: Mapping[str, Any], path: Path) -> None:
    """Size of the error of every method, one group of marks for each system."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = {name: case for name, case in cases.items() if case["exact"] is not None}
    last = str(SIZES[-1])
    methods = {
        "CCSD(T)": (lambda case: case["ccsd_t"], "x", "#b45309"),
        "UCCSD(T)": (lambda case: case["uccsd_t"], "+", "#a16207"),
        f"selected CI, {last}": (lambda case: case["selected_ci"][last]["energy"], "s", "#8a8f98"),
        "... with PT2": (lambda case: case["selected_ci"][last]["pt2"], "D", "#5b6470"),
        "network": (lambda case: case["network"]["energy"], "o", "#1f5fa8"),
    }
    figure, panel = pyplot.subplots(figsize=(7.6, 0.8 + 0.34 * max(len(cases), 3)), layout="constrained")
    for label, (energy_of, mark, colour) in methods.items():
        points = [
            (max(abs(1e3 * (energy_of(case) - case["exact"])), 1e-3), -row)
            for row, case in enumerate(cases.values())
            if energy_of(case) is not None
        ]
        panel.plot(*zip(*points, strict=True), mark, color=colour, label=label, markersize=6)
    panel.set(xscale="log", xlabel="distance from the exact energy (mHa)")
    panel.set_yticks([-row for row in range(len(cases))], list(cases))
    panel.axvline(1.6, color="0.6", linewidth=0.8, linestyle="--")
    panel.grid(alpha=0.25)
    panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
