"""To NetKet: the Hilbert space and a particle- and spin-conserving fermionic operator.

Convention: **alpha fills the first block** of M modes, beta the second, so
`n_fermions_per_spin = (n_alpha, n_beta)`. NetKet's own `sz=-1` is block 0 and `sz=+1` is block 1;
for a molecule that label is of no consequence, but address modes by their index and not by `sz`.
"""

from typing import Any

import numpy as np

from hamiltonians.formats.second_quantised import spin_orbital_tensors
from hamiltonians.integrals import MolecularIntegrals


def to_netket(integrals: MolecularIntegrals, *, cutoff: float = 1e-12) -> tuple[Any, Any]:
    """Return (hilbert, operator) for NetKet.

    Meant for small systems and for comparison: NetKet's operator neither screens nor removes
    duplicates among connected configurations.

    Args:
        integrals: The Hamiltonian, of at most 40 orbitals.
        cutoff: Coefficients of smaller magnitude are dropped, in Hartree.

    Returns:
        `nk.hilbert.SpinOrbitalFermions` of 2M modes (alpha first) and a
        `ParticleNumberAndSpinConservingFermioperator2nd` on it.

    Raises:
        InputError: More than 40 orbitals.
    """
    import netket as nk
    from netket.experimental import operator as experimental  # noqa: TID251 - this package cannot use nnbf's

    size = integrals.n_orbitals
    hilbert = nk.hilbert.SpinOrbitalFermions(
        size, s=1 / 2, n_fermions_per_spin=(integrals.n_alpha, integrals.n_beta)
    )
    one_body, antisymmetric = spin_orbital_tensors(integrals)
    terms: list[tuple] = []
    weights: list[float] = []
    for p, q in np.argwhere(np.abs(one_body) > cutoff).tolist():
        terms.append(((p, 1), (q, 0)))
        weights.append(float(one_body[p, q]))
    for p, q, r, s in np.argwhere(np.abs(antisymmetric) > cutoff).tolist():
        if p > q and r > s:
            terms.append(((p, 1), (q, 1), (r, 0), (s, 0)))
            weights.append(float(antisymmetric[p, q, r, s]))
    general = nk.operator.FermionOperator2nd(hilbert, terms, weights, constant=integrals.constant)
    return hilbert, experimental.ParticleNumberAndSpinConservingFermioperator2nd.from_fermionoperator2nd(
        general
    )
