"""A multiplicity above the lowest, where that was assumed and another lies lower."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.molecule.geometry import Geometry
from hamiltonians.molecule.mean_field import MeanField, energy_at_spin
from hamiltonians.molecule.spec import MoleculeSpec

_MOST_DETERMINANTS = 5_000  # of full configuration interaction at another spin: a second
_MOST_ORBITALS = 150  # of Hartree-Fock at another spin
_LOWER = 1e-4  # Hartree; what is called lower


def is_assumed(spec: MoleculeSpec, geometry: Geometry) -> bool:
    """Return whether neither the user nor the source of the geometry states a spin for this charge."""
    other_charge = spec.charge not in (None, geometry.charge or 0)
    return spec.spin is None and (geometry.two_S is None or other_charge)


def higher_spin_warnings(
    field: MeanField, integrals: MolecularIntegrals, fci: float | None
) -> tuple[str, ...]:
    """Name the spin that lies below the one of the integrals: in FCI where that is cheap, else Hartree-Fock.

    Args:
        field: Mean field.
        integrals: Hamiltonian, of an assumed spin.
        fci: Its FCI energy in Hartree, where known.
    """
    if fci is not None and _fits(integrals, 2):
        lowest, method = _descended(fci, partial(_fci_energy, integrals), integrals.two_S), "FCI"
    elif field.scf.mol.nao <= _MOST_ORBITALS and field.converged:
        lowest, method = _mean_field_spin(field, integrals.two_S), "Hartree-Fock"
    else:
        return ()
    two_s, below = lowest
    if two_s == integrals.two_S:
        return ()
    return (
        f"spin was not given, 2S = {integrals.two_S} was assumed, and 2S = {two_s} lies "
        f"{1e3 * below:.4g} mHa lower in {method}: give spin {two_s}",
    )


def _mean_field_spin(field: MeanField, two_s: int) -> tuple[int, float]:
    lowest = _descended(field.energy, partial(energy_at_spin, field, method=field.method), two_s)
    if lowest[0] == two_s or field.method == "UHF":
        return lowest
    # Restricted orbitals put stretched bonds too high: both spins unrestricted decide.
    here = energy_at_spin(field, two_s, method="UHF")
    return (
        (two_s, 0.0)
        if here is None
        else _descended(here, partial(energy_at_spin, field, method="UHF"), two_s)
    )


def _descended(energy: float, at_spin: Callable[[int], float | None], two_s: int) -> tuple[int, float]:
    """Return the spin reached by steps of 2 as long as energies fall, and how far they fell."""
    start, best = energy, two_s
    while (there := at_spin(best + 2)) is not None and there < energy - _LOWER:
        energy, best = there, best + 2
    return best, start - energy


def _fits(integrals: MolecularIntegrals, more: int) -> bool:
    from hamiltonians.molecule.references import fci_dimension

    half = more // 2
    possible = integrals.n_beta >= half and integrals.n_alpha + half <= integrals.n_orbitals
    return possible and fci_dimension(integrals) <= _MOST_DETERMINANTS


def _fci_energy(integrals: MolecularIntegrals, two_s: int) -> float | None:
    from hamiltonians.molecule.references import solve_fci

    more = two_s - integrals.two_S
    if not _fits(integrals, more):
        return None
    changed = replace(
        integrals,
        n_alpha=integrals.n_alpha + more // 2,
        n_beta=integrals.n_beta - more // 2,
        orbital_irreps=None,
        reference_occupation=None,  # type: ignore[arg-type]
    )
    found = solve_fci(changed)
    return found.energy if found.converged else None
