"""Excited states against exact ones (small bases, by networks) and against QUEST (by selected CI on one V).

    python benchmarks/excited_states.py exact [NAMES...]     # nnbf molecule --states, within 0.1 mHa of FCI
    python benchmarks/excited_states.py quest [NAMES...]     # vertical excitation energies, frozen core

FCI energies of the small bases were computed with PySCF (full CI by irrep and spin). QUEST: Loos and others,
QUESTDB (github.com/pfloos/QUESTDB, CC-BY, 2026-07-30): geometries CC3/aug-cc-pVTZ, FCI or extrapolated FCI.
"""

import argparse
import time
from dataclasses import dataclass

from hamiltonians import MoleculeSpec
from nnbf import SolverOptions, solve
from nnbf.drivers.growth import Growth
from nnbf.drivers.several_states import Wanted, in_average_natural_orbitals, lowest_states
from nnbf.drivers.state_levels import excitation_record, term_of

#: Determinants of a block of the V whose natural orbitals the rest is made in.
FIRST = 800


@dataclass(frozen=True)
class Exact:
    """A molecule whose lowest levels are known exactly."""

    geometry: str
    basis: str
    frozen_core: int
    states: int
    levels: tuple[tuple[str, float, int], ...]
    """Name, energy (Hartree), degeneracy."""


@dataclass(frozen=True)
class Quest:
    """A molecule of QUEST."""

    geometry: str
    basis: str
    states: int
    excitations: tuple[tuple[str, float], ...]
    """Name as `nnbf` has it, eV; the second state of a name with a 2 before it."""
    spin: float | None = None
    irreps: tuple[int, ...] | None = None
    size: int = 12_000
    """Determinants of a block of V."""


EXACT = {
    "N2": Exact(
        "N 0 0 0; N 0 0 1.112", "sto-3g", 0, 8,
        (("1Sigg+", -107.66020642, 1), ("3Pig", -107.36863897, 2), ("3Sigu+", -107.35999622, 1),
         ("1Pig", -107.31891170, 2), ("3Delu", -107.29575733, 2)),
    ),
    "C2": Exact(
        "C 0 0 0; C 0 0 1.26", "sto-3g", 0, 9,
        (("1Sigg+", -74.69078192, 1), ("3Piu", -74.64590391, 2), ("3Sigu+", -74.63882275, 1),
         ("1Piu", -74.58726483, 2), ("3Sigg-", -74.55673920, 1), ("3Pig", -74.54562086, 2)),
    ),
    "H2O": Exact(
        "O 0 0 0; H 0.2774 0.8929 0.2544; H 0.6068 -0.2383 -0.7169", "sto-3g", 0, 6,
        (("1A1", -75.01553019, 1), ("3B1", -74.62782929, 1), ("1B1", -74.56896436, 1),
         ("3A2", -74.52530553, 1), ("3A1", -74.52405503, 1), ("1A2", -74.48835014, 1)),
    ),
    "LiH": Exact(
        "Li 0 0 0; H 0 0 1.595", "6-31g", 0, 6,
        (("1Sig+", -7.99827613, 1), ("3Sig+", -7.89460930, 1), ("1Sig+", -7.87744319, 1),
         ("3Pi", -7.85094512, 2), ("1Pi", -7.83922247, 2)),
    ),
    "BH": Exact(
        "B 0 0 0; H 0 0 1.2228740", "6-31g", 0, 6,
        (("1Sig+", -25.17241101, 1), ("3Pi", -25.13534781, 2), ("1Pi", -25.05755455, 2),
         ("3Sig-", -25.01185650, 1)),
    ),
    "Be": Exact(
        "Be 0 0 0", "aug-cc-pvdz", 1, 14,
        (("1Sg", -14.61689102, 1), ("3Pu", -14.51662213, 3), ("1Pu", -14.41762017, 3),
         ("3Sg", -14.37857145, 1), ("1Sg", -14.36576664, 1), ("1Dg", -14.35119233, 5)),
    ),
}  # fmt: skip

QUEST = {
    "H2O": Quest(
        "O 0 0 -0.06990253; H 0 0.75753211 0.51843474; H 0 -0.75753211 0.51843474", "aug-cc-pvdz", 7,
        (("3B1", 7.14), ("1B1", 7.53), ("3A2", 9.14), ("1A2", 9.32), ("3A1", 9.49), ("2 1A1", 9.94)),
    ),
    "NH3": Quest(
        "N 0.06775908 0 0; H -0.31382278 0.46874540 -0.81189085; H -0.31382278 -0.93749080 0; "
        "H -0.31382278 0.46874540 0.81189085", "aug-cc-pvdz", 3,
        (("3A1", 6.19), ("2 1A1", 6.48)),
    ),
    "BH": Quest("B 0 0 0; H 0 0 1.22287350", "aug-cc-pvtz", 5, (("1Pi", 2.901),)),
    "CH2O": Quest(
        "C 0 0 -0.60298484; O 0 0 0.60539374; H 0 0.93467276 -1.18217429; H 0 -0.93467276 -1.18217429",
        "aug-cc-pvdz", 3, (("3A2", 3.58), ("1A2", 3.99)),
    ),
    "C2": Quest(
        "C 0 0 0.62402101; C 0 0 -0.62402101", "aug-cc-pvdz", 4, (("1Delg", 2.21), ("2 1Sigg+", 2.50)),
        spin=0.0, irreps=(0, 1),
    ),
    "N2": Quest(
        "N 0 0 0.55038976; N 0 0 -0.55038976", "aug-cc-pvdz", 8, (("3Sigu+", 7.70), ("1Pig", 9.41)),
    ),
}  # fmt: skip


def exact(names: list[str]) -> None:
    """Print the levels of networks against FCI."""
    for name in names:
        case, started = EXACT[name], time.monotonic()
        spec = MoleculeSpec(case.geometry, basis=case.basis, frozen_core=case.frozen_core, references=False)
        system = spec.build(references=False)
        outcome = solve(system, SolverOptions(states=case.states))
        groups: dict[int, list] = {}
        for level in outcome.levels:
            groups.setdefault(level.details["term"], []).append(level)
        print(f"{name}/{case.basis}: {time.monotonic() - started:.0f} s, {outcome.status}")
        for (label, energy, degeneracy), group in zip(case.levels, groups.values(), strict=False):
            found, count = group[0].sector.label, len(group)
            away = [1e3 * (level.energy.value - energy) for level in group]
            good = found == label and count == degeneracy and all(-1e-5 < x < 0.1 for x in away)
            spins = " ".join(f"{level.s_squared:.4f}" for level in group)
            print(
                f"  {label:8s} x{degeneracy}  found {found:8s} x{count}  "
                f"{' '.join(f'{x:+.4f}' for x in away)} mHa  <S^2> {spins}  {'ok' if good else 'NOT'}",
                flush=True,
            )


def quest(names: list[str], size: int | None) -> None:
    """Print excitation energies against QUEST, with second order and by extrapolation."""
    print("molecule  state      QUEST    on V   with PT2  extrapolated (eV)    |V|  s")
    for name in names:
        case, started = QUEST[name], time.monotonic()
        spec = MoleculeSpec(case.geometry, basis=case.basis, frozen_core=True, references=False)
        system = spec.build(references=False)
        irreps = None if case.irreps is None else frozenset(case.irreps)
        most, wanted = size or case.size, Wanted(case.states, case.spin, irreps)
        first = lowest_states(system.integrals, wanted, Growth(max_size=FIRST, free_size=FIRST))
        integrals = in_average_natural_orbitals(system.integrals, first.states)
        found = lowest_states(integrals, wanted, Growth(max_size=most, free_size=most))
        known: dict[str, list] = {}
        for state in found.states:
            known.setdefault(term_of(state, system).label, []).append(state)
        for label, reference in case.excitations:
            number, symbol = label.split() if " " in label else ("1", label)
            levels = {state.term: state for state in known.get(symbol, ())}
            if len(levels) < int(number):
                print(f"{name:9s} {label:9s} {reference:7.3f}  not among the {case.states} lowest")
                continue
            state = list(levels.values())[int(number) - 1]
            ground = found.states[0]
            record = excitation_record(state.energy - ground.energy, state, ground, found.complete)
            limit, error = (record.get(f"excitation_{what}_ev") for what in ("extrapolated", "error"))
            last = "" if limit is None else f"{limit:8.3f} +- {error:.3f}"
            print(
                f"{name:9s} {label:9s} {reference:7.3f} {record['excitation_ev']:8.3f} "
                f"{record.get('excitation_pt2_ev', record['excitation_ev']):9.3f} {last}  "
                f"{len(state.block.determinants):7d}  {time.monotonic() - started:.0f}",
                flush=True,
            )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("exact", "quest"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--size", type=int, default=None, help="determinants of a block of V")
    given = parser.parse_args()
    if given.what == "exact":
        exact(given.names or list(EXACT))
    else:
        quest(given.names or list(QUEST), given.size)


if __name__ == "__main__":
    main()
