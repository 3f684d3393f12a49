r"""Local energies that are not truncated to V.

On V alone :math:`\sum_{j \in V} H_{ij}\psi_j / \psi_i` leaves out what lies outside. With the network
evaluated on the connected space C the local energies are complete, as in Monte Carlo, while the
weights are still those on V: the energy is then of kind ``projected``, and no upper bound.
"""

import numpy as np
import scipy.sparse

from nnbf.determinants import connected_space, rectangular_matrix
from nnbf.determinants.sparse import sparse_times_vector
from nnbf.optimize import TangentProblem
from nnbf.states.selected import SelectedState


class OutsideCoupling:
    """The part of the Hamiltonian that leads from V to its connected space, for one V."""

    def __init__(self, state: SelectedState):
        """Enumerate the connected space of the state's V, and the matrix elements to it."""
        tables, fold = state.hamiltonian.tables, state.spin_flip
        self.space = state.determinants
        """V."""
        self.determinants = connected_space(tables, self.space, np.ones(len(self.space)), fold).determinants
        """C, (n, 2 W)."""
        rows = rectangular_matrix(tables, self.space, self.determinants, fold)
        self.matrix = (scipy.sparse.diags(np.sqrt(state.multiplicity)) @ rows).tocsr()
        """(len(V), n), Hartree: from amplitudes on C to the orthonormal basis of V."""

    def problem(self, state: SelectedState) -> TangentProblem:
        """One optimisation step with complete local energies; ``energy`` is of kind projected.

        Raises:
            FloatingPointError: Amplitudes outside V are not finite.
        """
        amplitudes = state.amplitudes()
        product = sparse_times_vector(state.objective, amplitudes)
        if len(self.determinants):
            product = product + sparse_times_vector(self.matrix, self._amplitudes(state, amplitudes))
        return TangentProblem(
            state.gradient_factors(), state.parameters, amplitudes, state.objective, product
        )

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
