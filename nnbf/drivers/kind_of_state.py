"""The kind of state that a molecule has, by cheap signs, and the method and options that suit it."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hamiltonians import InputError, MolecularIntegrals, Molecule, build_molecule
from hamiltonians.molecule.lowest_determinant import lowest_determinant
from hamiltonians.molecule.spec import MoleculeSpec
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.unused_options import require_effect

#: Fractional occupations of natural orbitals of UHF; Pulay and Hamilton, J. Chem. Phys. 88, 4926 (1988).
FRACTIONAL = (0.02, 1.98)
#: Determinants below which a state is a list, whatever it is like: ten atoms in a row (63,504) are within
#: 0.02 mHa in ten minutes at any spacing where the network is fitted to all of them, samples at 0.4.
MANY_DETERMINANTS = 200_000
#: Determinants of the fractionally occupied orbitals, and energy of UHF below RHF (Hartree an electron), from
#: which on a state is spread out.
MANY_ACTIVE, LARGE_GAIN = 300, 0.004
#: Share of fractionally occupied orbitals from which on local orbitals are the simpler ones.
LOCAL_SHARE = 0.5

_SPREAD_OUT: dict[str, Any] = {
    "start_orbitals": "uhf",
    "equivariant": True,
    "sampling_power": 1.4,
    "n_determinants": 1,
    "hidden": (64, 64),
    "n_samples": 512,
    "precision": 5e-4,
    "noise": 0.01,
}


@dataclass(frozen=True)
class KindOfState:
    """Peaked on a few determinants, or spread out over many that are alike."""

    is_spread_out: bool
    """True where Monte Carlo in local orbitals suits it, else a selected space does."""
    reason: str
    """The signs, in words."""


def kind_of_state(integrals: MolecularIntegrals) -> KindOfState:
    """Tell the kind of state from unrestricted Hartree-Fock, which is solved over the given orbitals.

    A state is spread out where UHF lies far below RHF, at least half of its natural orbitals are occupied
    fractionally, and there are too many determinants for a list of all.

    Args:
        integrals: The Hamiltonian; any orthonormal orbitals.
    """
    size, n_alpha, n_beta = integrals.n_orbitals, integrals.n_alpha, integrals.n_beta
    dimension = math.comb(size, n_alpha) * math.comb(size, n_beta)
    if dimension <= MANY_DETERMINANTS:
        return KindOfState(False, f"there are {dimension:,} determinants in all")
    if integrals.is_spin_resolved:
        return KindOfState(False, "alpha and beta orbitals differ")
    broken = lowest_determinant(integrals, "uhf")
    gain = lowest_determinant(integrals, "rhf").energy - broken.energy
    occupations = np.linalg.eigvalsh(sum(of_spin @ of_spin.T for of_spin in broken.orbitals))
    fractional = int(np.count_nonzero((occupations > FRACTIONAL[0]) & (occupations < FRACTIONAL[1])))
    full = int(np.count_nonzero(occupations >= FRACTIONAL[1]))
    alpha, beta = max(n_alpha - full, 0), max(n_beta - full, 0)
    active = math.comb(fractional, alpha) * math.comb(fractional, beta)
    found = (
        f"UHF is {1e3 * max(gain, 0.0):.0f} mHa below RHF, {fractional} of {size} of its natural orbitals "
        f"are fractionally occupied ({active:,} determinants)"
    )
    gains = gain >= LARGE_GAIN * (n_alpha + n_beta)
    return KindOfState(gains and active >= MANY_ACTIVE and fractional >= LOCAL_SHARE * size, found)


def suited_options(options: SolverOptions, integrals: MolecularIntegrals) -> SolverOptions:
    """Return options for a state that is spread out: those that were given, with other defaults.

    Args:
        options: What differs from the defaults is kept.
        integrals: Their 2S is the total spin that determinants are projected on.
    """
    defaults = SolverOptions()
    wanted = {**_SPREAD_OUT, "total_spin": 0.5 * abs(integrals.two_S)}
    free = {
        name: value for name, value in wanted.items() if getattr(options, name) == getattr(defaults, name)
    }
    return replace(options, **free)


@dataclass(frozen=True, eq=False)
class SuitedRun:
    """A method, and everything that it is used with."""

    method: str
    """Name of the method."""
    system: Molecule
    """The molecule, in orbitals that suit the method."""
    spec: Any
    """As it is asked for, with these orbitals."""
    options: SolverOptions
    """Options of the method."""
    text: str
    """The choice and its reason, in one line."""


def suited_run(system: Molecule, spec: Any, options: SolverOptions) -> SuitedRun:
    """Choose the method for a molecule.

    A state that is spread out is sampled in Loewdin orbitals, unless other orbitals, or options of a selected
    space, were given.

    Args:
        system: The molecule.
        spec: Where it comes from; molecules that no `MoleculeSpec` describes have a selected space.
        options: What was given.
    """
    kind = kind_of_state(system.integrals)
    sampled = suited_options(options, system.integrals)
    if kind.is_spread_out and _is_free(spec) and _acts(sampled):
        spec = replace(spec, orbitals="lowdin")
        local = build_molecule(spec, references=False)
        local = replace(local, references=system.references, reference_notes=system.reference_notes)
        text = (
            f"strong correlation: {kind.reason}; Monte Carlo (method vmc) in Loewdin orbitals from the UHF "
            f"determinant, projected on total spin {sampled.total_spin:g}, with its symmetry"
        )
        return SuitedRun("vmc", local, spec, sampled, text)
    return SuitedRun("selected", system, spec, options, f"method selected: {kind.reason}")


def _is_free(spec: Any) -> bool:
    """Tell whether the orbitals of a molecule may be chosen."""
    if not isinstance(spec, MoleculeSpec) or spec.is_truncated:
        return False
    plain = MoleculeSpec(spec.molecule)
    names = ("orbitals", "frozen_core", "active_space", "reference")
    return all(getattr(spec, name) == getattr(plain, name) for name in names)


def _acts(options: SolverOptions) -> bool:
    """Tell whether all options that were given have an effect on samples."""
    try:
        require_effect(options, ("vmc",))
    except InputError:
        return False
    return options.network is None and options.blocked
