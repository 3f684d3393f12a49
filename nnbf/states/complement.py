r"""Surroundings of a variational space: all of it for complete local energies, or a sample in the space.

On V alone :math:`\sum_{j \in V} H_{ij}\psi_j / \psi_i` leaves out what lies outside, and the network is free
there: its amplitudes are an uncontrolled extrapolation.

With the network evaluated on the connected space C the local energies are complete, as in Monte Carlo, while
the weights are still those on V: the energy is then of kind ``projected``, and no upper bound.

The extended problem adds a sample T of C to V, with the couplings to V and the diagonal, but not those
inside T (as in Loewdin partitioning and the B_k method: Davidson, McMurchie, Day, J. Chem. Phys. 74, 5491
(1981)):

.. math:: H_{ext} = \begin{pmatrix} H_{VV} & H_{VT} \\ H_{TV} & D_T \end{pmatrix}

Its ground state carries first-order amplitudes on T. Each sampled determinant stands for |C| / |T| of
them, so that the energy is an unbiased estimate of that with all of C, at fixed amplitudes.
"""

from dataclasses import replace

import numpy as np
import scipy.sparse

from nnbf.determinants import ConnectedSpace, connected_space, hamiltonian_matrix, multiplicities
from nnbf.determinants.parallel import sparse_times_vector
from nnbf.optimize import TangentProblem
from nnbf.states.space import Space
from nnbf.states.space_state import SpaceState


class ComplementCoupling:
    """The part of the Hamiltonian that leads from V to its connected space, for one V."""

    def __init__(self, state: SpaceState):
        """Enumerate the connected space of the state's V, and the matrix elements to it."""
        tables, fold = state.hamiltonian.tables, state.spin_flip
        self.space = state.determinants
        """V."""
        self.determinants = connected_space(tables, self.space, np.ones(len(self.space)), fold).determinants
        """C, (n, 2 W)."""
        rows = hamiltonian_matrix(tables, self.space, fold, columns=self.determinants)
        self.matrix = (scipy.sparse.diags(np.sqrt(state.multiplicity)) @ rows).tocsr()
        """(len(V), n), Hartree: from amplitudes on C to the orthonormal basis of V."""

    def problem(self, state: SpaceState) -> TangentProblem:
        """One optimisation step with complete local energies; ``energy`` is of kind projected.

        Raises:
            FloatingPointError: Amplitudes outside V are not finite.
        """
        amplitudes = state.amplitudes()
        product = state.minimised_times(amplitudes)
        if len(self.determinants):
            product = product + sparse_times_vector(self.matrix, self._amplitudes(state, amplitudes))
        return state.tangent_problem(product)

    def _amplitudes(self, state, on_space):
        """Amplitudes (n,) on C, on the scale of the state normalised on V."""
        anchor = int(np.argmax(np.abs(on_space)))
        sign0, log0 = state.signed_log(self.space[anchor : anchor + 1])
        value = on_space[anchor] / np.sqrt(state.multiplicity[anchor])
        sign, log_abs = state.signed_log(self.determinants)
        values = value * sign0[0] * sign * np.exp(log_abs - log0[0])
        if not np.all(np.isfinite(values)):
            raise FloatingPointError("amplitudes outside the variational space are not finite")
        return values


def extended_state(
    state: SpaceState, outside: ConnectedSpace, n_sample: int, rng: np.random.Generator
) -> SpaceState:
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
    coupling = hamiltonian_matrix(state.hamiltonian.tables, tail, state.spin_flip, columns=state.determinants)
    # Rows of T act on unfolded amplitudes: back to the orthonormal basis, times the sampling weight.
    coupling = (
        scipy.sparse.diags(np.sqrt(copies * scale))
        @ coupling
        @ scipy.sparse.diags(1.0 / np.sqrt(state.multiplicity))
    )
    diagonal = outside.diagonal[chosen]
    both = np.concatenate([state.determinants, tail])
    extended = Space.selected(both, spin_flip=state.spin_flip)
    penalties = [p.terms(state.hamiltonian, extended, True).sparse for p in state.objective.penalties]
    for penalty in penalties:
        if penalty is None:
            raise ValueError("excluded levels have no part outside the space: train without a sample of it")
        size = len(state.determinants)
        coupling = coupling + np.sqrt(scale) * penalty[size:, :size]
        diagonal = diagonal + penalty.diagonal()[size:]
    matrix = scipy.sparse.bmat(
        [[state.minimised, coupling.T], [coupling, scipy.sparse.diags(diagonal)]], format="csr"
    )
    return state.on(
        replace(extended, multiplicity=np.concatenate([state.multiplicity, copies * scale]), matrix=matrix)
    )
