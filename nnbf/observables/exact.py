"""Observables of a state that is summed exactly: FCI vectors, selected spaces, whole sectors."""

from hamiltonians import MolecularIntegrals, OrbitalProperties, irrep_bits
from nnbf.observables.composition import inverse_participation_ratio, largest_determinants
from nnbf.observables.density import energy_from_densities, one_body_density, two_body_density
from nnbf.observables.dipole import dipole_moment
from nnbf.observables.expansion import Expansion
from nnbf.observables.natural import natural_orbitals
from nnbf.observables.representability import one_body_checks, two_body_checks
from nnbf.observables.result import Estimate, Observables
from nnbf.observables.spin import s_squared


def observables_of(
    expansion: Expansion,
    integrals: MolecularIntegrals,
    properties: OrbitalProperties | None = None,
    *,
    kind: str = "variational",
    rdm2: bool = False,
    n_largest: int = 10,
) -> Observables:
    """All observables of a state, without statistical error.

    Args:
        expansion: The state.
        integrals: The Hamiltonian whose orbitals it is written in.
        properties: Dipole integrals and overlaps of these orbitals, where known.
        kind: What the state is, for the records: full_sum or variational.
        rdm2: Also make the two-particle density matrices (M^4 numbers) and check them.
        n_largest: How many of the largest determinants to list.

    Raises:
        ValueError: There are too many orbitals for two-particle density matrices.
    """
    one_body = one_body_density(expansion)
    checks = one_body_checks(one_body, expansion.n_alpha, expansion.n_beta)
    one_body = 0.5 * (one_body + one_body.transpose(0, 2, 1))
    overlap = None if properties is None else properties.overlap_alpha_beta
    spin = None
    if not integrals.is_spin_resolved or overlap is not None:
        spin = Estimate(s_squared(expansion, overlap, one_body))
    natural = natural_orbitals(
        one_body, irrep_bits(integrals), spin_resolved=integrals.is_spin_resolved, overlap=overlap
    )
    dipole = dipole_moment(properties, one_body)
    two_body, energy = None, None
    if rdm2:
        two_body = two_body_density(expansion)
        energy = Estimate(energy_from_densities(integrals, one_body, two_body))
        checks |= two_body_checks(two_body, one_body, expansion.n_alpha, expansion.n_beta)
    return Observables(
        kind=kind,
        n_determinants=len(expansion),
        s_z=Estimate(expansion.s_z),
        s_squared=spin,
        dipole=None if dipole is None else Estimate(dipole),
        one_body=one_body,
        one_body_error=None,
        natural=natural,
        natural_occupations=None if natural.occupations is None else Estimate(natural.occupations),
        inverse_participation_ratio=Estimate(inverse_participation_ratio(expansion)),
        largest_determinants=largest_determinants(expansion, n_largest),
        checks=checks,
        two_body=two_body,
        energy_from_densities=energy,
    )
