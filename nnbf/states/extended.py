r"""A variational space together with a random sample of what surrounds it.

Optimising on V alone leaves the network free outside V, where its amplitudes are then an
uncontrolled extrapolation. The extended problem adds a sample T of the connected space, with the
couplings to V and the diagonal, but not the couplings inside T (as in Loewdin partitioning and the
B_k method: Davidson, McMurchie, Day, J. Chem. Phys. 74, 5491 (1981)):

.. math:: H_{ext} = \begin{pmatrix} H_{VV} & H_{VT} \\ H_{TV} & D_T \end{pmatrix}

Its ground state carries first-order amplitudes on T. Each sampled determinant stands for |C| / |T| of
them, so that the energy is an unbiased estimate of that with all of C, at fixed amplitudes.
"""

import numpy as np
import scipy.sparse

from nnbf.determinants import ConnectedSpace, multiplicities, rectangular_matrix
from nnbf.states.selected import SelectedState


def extended_state(
    state: SelectedState, outside: ConnectedSpace, n_sample: int, rng: np.random.Generator
) -> SelectedState:
    """The same wave function on V and a fresh sample of its connected space.

    Args:
        state: The state on V.
        outside: The connected space of V.
        n_sample: Determinants to draw, without replacement; all are taken where there are fewer.
        rng: Source of randomness.

    Returns:
        A state whose matrix is ``H_ext`` and whose multiplicities carry the sampling weight. Its
        energy is no upper bound.
    """
    n_outside = len(outside.determinants)
    chosen = np.sort(rng.choice(n_outside, min(n_sample, n_outside), replace=False))
    tail = outside.determinants[chosen]
    scale = n_outside / len(chosen)
    copies = multiplicities(tail, state.spin_flip)
    coupling = rectangular_matrix(state.hamiltonian.tables, tail, state.determinants, state.spin_flip)
    # Rows of T act on unfolded amplitudes: back to the orthonormal basis, times the sampling weight.
    coupling = (
        scipy.sparse.diags(np.sqrt(copies * scale))
        @ coupling
        @ scipy.sparse.diags(1.0 / np.sqrt(state.multiplicity))
    )
    diagonal = outside.diagonal[chosen]
    both = np.concatenate([state.determinants, tail])
    if state.spin_penalty is not None:
        penalty = state.spin_penalty.matrix(both, state.hamiltonian.n_orbitals, state.spin_flip)
        size = len(state.determinants)
        coupling = coupling + np.sqrt(scale) * penalty[size:, :size]
        diagonal = diagonal + penalty.diagonal()[size:]
    matrix = scipy.sparse.bmat(
        [[state.objective, coupling.T], [coupling, scipy.sparse.diags(diagonal)]], format="csr"
    )
    return state.with_space(
        both,
        np.concatenate([state.multiplicity, copies * scale]),
        matrix,
    )
