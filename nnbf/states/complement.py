r"""Surroundings of a variational space: all of it for complete local energies, or a sample in the space.

On V alone :math:`\sum_{j \in V} H_{ij}\psi_j / \psi_i` leaves out what lies outside, and the network is free
there: its amplitudes are an uncontrolled extrapolation.

With the network evaluated on the connected space C the local energies are complete, as in Monte Carlo, while
the weights are still those on V: the energy is then of kind ``projected``, and no upper bound.

The extended problem adds a sample T of C to V, with the couplings to V and the diagonal, but not those
inside T (as in Loewdin partitioning and the B_k method: Davidson, McMurchie, Day, J. Chem. Phys. 74, 5491
(1981)):

.. math:: H_{ext} = \begin{pmatrix} H_{VV} & H_{VT} \\ H_{TV} & D_T \end{pmatrix}

Its ground state carries first-order amplitudes on T, and none on determinants that V is not coupled with.
Each determinant of T stands for several, as it was drawn (:mod:`nnbf.states.surroundings`): the energy
estimates that with all of them.
"""

from dataclasses import replace

import numpy as np
import scipy.sparse

from nnbf.determinants import connected_space, diagonal_elements, hamiltonian_matrix, multiplicities
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
            product = product + sparse_times_vector(self.matrix, self._amplitudes(state))
        return state.tangent_problem(product)

    def _amplitudes(self, state):
        """Amplitudes (n,) on C, on the scale of the state normalised on V."""
        values = state.values_on(self.determinants)
        if not np.all(np.isfinite(values)):
            raise FloatingPointError("amplitudes outside the variational space are not finite")
        return values


def extended_state(state: SpaceState, tail: np.ndarray, copies: np.ndarray) -> SpaceState:
    """The same wave function on V and some determinants outside.

    Args:
        state: The state on V.
        tail: (n, 2 W) determinants outside V; those that V is not coupled with ought to have no weight.
        copies: (n,) how many determinants outside each stands for; may be 0.

    Returns:
        A state whose matrix is ``H_ext`` and whose multiplicities carry the weights of the samples. Its
        energy is no upper bound.
    """
    weights = multiplicities(tail, state.spin_flip) * copies
    coupling = hamiltonian_matrix(state.hamiltonian.tables, tail, state.spin_flip, columns=state.determinants)
    # Rows of T act on unfolded amplitudes: back to the orthonormal basis, times the weight.
    rows, columns = (scipy.sparse.diags(part) for part in (weights**0.5, state.multiplicity**-0.5))
    coupling = rows @ coupling @ columns
    diagonal = diagonal_elements(state.hamiltonian.tables, tail)
    both = Space.selected(np.concatenate([state.determinants, tail]), spin_flip=state.spin_flip)
    for penalty in state.objective.penalties:
        terms = penalty.terms(state.hamiltonian, both, True).sparse
        if terms is None:
            raise ValueError("excluded levels have no part outside the space: train without a sample of it")
        size = len(state.determinants)
        coupling = coupling + scipy.sparse.diags(np.sqrt(copies)) @ terms[size:, :size]
        diagonal = diagonal + terms.diagonal()[size:]
    matrix = scipy.sparse.bmat(
        [[state.minimised, coupling.T], [coupling, scipy.sparse.diags(diagonal)]], format="csr"
    )
    multiplicity = np.concatenate([state.multiplicity, weights])
    return state.on(replace(both, multiplicity=multiplicity, matrix=matrix))
