"""How good are the spectra of `nnbf response`? Trained states against full Lehmann sums and FCI.

Lattices: peaks and weights of S(q, omega), A(k, omega) and the conductivity of a trained network, against
those of the exact ground state, with the sum rules. Molecules: absorption of the eigenvector
on a selected V in spaces of growing size, and ionisation energies against published FCI values.

    python benchmarks/response.py lattices            # t-V 4x4 and Hubbard 4x2: train, respond, compare
    python benchmarks/response.py absorption          # H2O and N2 in 6-31G
    python benchmarks/response.py ionisation          # H2O in 6-31+G* (geometry of QUEST)
    python benchmarks/response.py large RUN           # moments of a run of t-V 6x6 from samples

Tables go to benchmarks/results/response_PART.md.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from hamiltonians import Lattice, build_molecule
from nnbf._text import Cell, Column, Table
from nnbf.operators import MolecularHamiltonian
from nnbf.response import KnownState, ResponseOptions, channels, spectrum_of
from nnbf.response.response_options import HARTREE_EV
from nnbf.runs.response_run import respond
from nnbf.states.selected_ci import selected_ci

RESULTS = Path(__file__).with_name("results")
LATTICES = {
    "t-V 4x4, 5, V = 1": Lattice("tv", (4, 4), 5, V=1.0),
    "t-V 4x4, 5, V = 4": Lattice("tv", (4, 4), 5, V=4.0),
    "Hubbard 4x2, 4+4, U = 4": Lattice("hubbard", (4, 2), (4, 4), U=4.0, boundary=("apbc", "pbc")),
}
OPERATORS = {"tv": ("density", "removal", "addition", "current"),
             "hubbard": ("density", "spin", "removal", "addition", "current")}  # fmt: skip
WATER = "O 0 0 -0.06990253; H 0 0.75753211 0.51843474; H 0 -0.75753211 0.51843474"
NITROGEN = "N 0 0 0; N 0 0 1.098"
IONISATION = {"H2O": [12.309, 14.636, 18.95], "satellite": [27.084]}


def lattices(only: str = "") -> Table:
    """Trained networks against the exact ground state, of models whose name contains a word."""
    columns = [
        "model",
        "operator",
        Column("energy error (t)", "right"),
        Column("largest shift of a peak (t)", "right"),
    ]
    columns += [Column("largest change of a weight", "right"), Column("zeroth moment", "right")]
    columns += [
        Column("first moment", "right"),
        Column("f-sum, of the exact state", "right"),
        Column("s", "right"),
    ]
    table = Table(columns)
    for name, model in LATTICES.items():
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            place = trained(model, Path(folder) / "run")
            for operator in OPERATORS[model.kind]:
                started = time.monotonic()
                done = respond(place, ResponseOptions(operator=operator, max_space=20_000))
                network, exact = done.record["states"]
                shift, change = worst(network, exact)
                rules = [channel["moments"] for channel in exact["channels"]]
                sums = [
                    max(abs(m[key] or 0.0) for m in rules)
                    for key in ("total_weight_defect", "first_moment_defect")
                ]
                f_sum = [abs(m["f_sum_defect"]) for m in rules if m.get("f_sum_defect") is not None]
                values = [network["energy"] - exact["energy"], shift, change, *sums, max(f_sum, default=None)]
                seconds = time.monotonic() - started
                table.add(name, operator, *map(number, values), number(seconds, ".0f"))
                print(table.markdown().splitlines()[-1], flush=True)
    return table


def trained(model: Lattice, folder: Path) -> Path:
    """Train the lowest level of a model by the command line."""
    from nnbf.cli.main import main

    words = ["lattice", model.kind, "--size", "x".join(map(str, model.size))]
    words += [
        "--particles",
        ",".join(map(str, model.particles)),
        "--boundary",
        ",".join(map(str, model.boundary)),
    ]
    words += [
        "--interaction",
        str(model.V if model.kind == "tv" else model.U),
        "--out",
        str(folder),
        "--quiet",
    ]
    if main([*words, "--time-limit", "200"]):
        raise SystemExit("the run failed")
    return folder


def worst(network, exact) -> tuple[float, float]:
    """Largest shift of a strong peak, and largest relative change of its weight, over all channels."""
    shifts, changes = [0.0], [0.0]
    for one, other in zip(network["channels"], exact["channels"], strict=True):
        weights, positions = np.array(other["weights"]), np.array(other["positions"])
        for k in np.flatnonzero(weights > 0.02 * weights.sum()):
            near = np.abs(np.array(one["positions"]) - positions[k]) < 0.02
            if not near.any():
                shifts.append(np.inf)
                continue
            part = np.array(one["weights"])[near]
            around = np.abs(positions - positions[k]) < 0.02
            centre = weights[around] @ positions[around] / weights[around].sum()
            shifts.append(abs(part @ np.array(one["positions"])[near] / part.sum() - centre))
            changes.append(abs(part.sum() / weights[around].sum() - 1.0))
    return max(shifts), max(changes)


def absorption() -> Table:
    """Lowest strong peaks of H2O and N2 in spaces of growing size, next to the last."""
    table = Table(
        [
            "molecule",
            "axis",
            "V",
            "space",
            Column("total weight missing", "right"),
            "strong peaks (eV: strength)",
        ]
    )
    for name, atoms in (("H2O", WATER), ("N2", NITROGEN)):
        molecule = build_molecule(atoms, "6-31g")
        hamiltonian = MolecularHamiltonian(molecule.integrals)
        for size in (1000, 4000):
            found = selected_ci(hamiltonian, hamiltonian.reference, size=size, with_second_order=False)
            state = KnownState.of(hamiltonian, found.determinants, found.amplitudes)
            for channel in channels(molecule, "dipole"):
                spectrum = spectrum_of(state, channel, max_space=size, steps=120)
                for row in spectrum.convergence:
                    missing = 1.0 - row["total_weight"] / spectrum.moments["total_weight_expected"]
                    peaks = [
                        f"{HARTREE_EV * p:.3f}: {2 / 3 * p * w:.4f}" for p, w in row["strongest"] if w > 0.02
                    ]
                    table.add(
                        name, channel.label, size, row["space"], number(missing, ".1e"), ", ".join(peaks)
                    )
                    print(table.markdown().splitlines()[-1], flush=True)
                shown = np.argsort(-spectrum.weights)[:5]
                corrected = [
                    f"{HARTREE_EV * (spectrum.positions[k] + spectrum.corrections[k]):.3f}"
                    for k in np.sort(shown)
                ]
                table.add(name, channel.label, size, "with PT2", "", ", ".join(corrected))
                print(table.markdown().splitlines()[-1], flush=True)
    return table


def ionisation(size: int = 16_000) -> Table:
    """Ionisation energies of H2O in 6-31+G* with frozen core against FCI (QUEST, charged)."""
    molecule = build_molecule(WATER, "6-31+g*", frozen_core=True)
    hamiltonian = MolecularHamiltonian(molecule.integrals)
    found = selected_ci(hamiltonian, hamiltonian.reference, size=size, with_second_order=False)
    state = KnownState.of(hamiltonian, found.determinants, found.amplitudes)
    titles = ("ionisation energy (eV)", "with PT2", "pole strength", "FCI", "difference")
    table = Table(["irrep", *(Column(title, "right") for title in titles)])
    known = [value for values in IONISATION.values() for value in values]
    for channel in channels(molecule, "removal"):
        spectrum = spectrum_of(state, channel, max_space=size, steps=60)
        for k in np.flatnonzero((spectrum.weights > 5e-3) & (spectrum.positions > -1.05))[::-1]:
            raw = -HARTREE_EV * spectrum.positions[k]
            better = raw - HARTREE_EV * spectrum.corrections[k]
            exact = min(known, key=lambda value: abs(value - better))
            table.add(
                channel.label,
                *map(number, (raw, better, spectrum.weights[k], exact, better - exact), 5 * (".3f",)),
            )
            print(table.markdown().splitlines()[-1], flush=True)
    return table


def number(value: float | None, digits: str = ".1e") -> Cell | str:
    """A cell of a table."""
    return "" if value is None else Cell(f"{value:{digits}}", value)


def large(run: str) -> Table:
    """Moments of the density response of a large run from samples."""
    done = respond(run, ResponseOptions(operator="density", momenta="X M"))
    from nnbf.report.response_tables import peaks_table

    for channel in done.record["states"][0]["channels"]:
        print(channel["label"], channel["moments"])
    return peaks_table(done.record)


def main() -> None:
    """Measure one part, and write its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["lattices", "absorption", "ionisation", "large"])
    parser.add_argument(
        "run", nargs="?", help="run folder, for large; for lattices a word in the name of the model"
    )
    given = parser.parse_args()
    makers = {"absorption": absorption, "ionisation": ionisation}
    if given.part in ("large", "lattices"):
        table = (large if given.part == "large" else lattices)(given.run or "")
    else:
        table = makers[given.part]()
    print(table.markdown())
    (RESULTS / f"response_{given.part}.md").write_text(table.markdown() + "\n")


if __name__ == "__main__":
    main()
