"""Rows of ``H psi`` in two parts: what large determinants contribute, and what all others do."""

from collections.abc import Callable

import numpy as np

from nnbf.determinants import Amplitudes, find_rows, multiplicities, spin_flip_representatives
from nnbf.determinants.hashing import merge_equal
from nnbf.determinants.rows import applied_rows, flat_connections, scattered_rows
from nnbf.states import SpaceState

#: Connections that are held in memory at once where determinants are missing from the table.
CONNECTIONS_AT_ONCE = 2_000_000


def signed_log(state: SpaceState, determinants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sign and log|psi|, each (n,).

    Raises:
        FloatingPointError: Amplitudes are not finite.
    """
    sign, log_abs = state.signed_log(determinants)
    if np.any(np.isnan(log_abs)) or np.any(log_abs == np.inf):
        raise FloatingPointError("the amplitudes of the trained network are not finite")
    return sign, log_abs


class AmplitudeTable:
    r"""Amplitudes of listed determinants, the first ``n_large`` of which form the set L.

    Gives, for a determinant i and the Hamiltonian shifted by a reference energy, that of psi on L,

    .. math:: h^L_i = \sum_{j \in L} (H - E_0)_{ij} \psi_j, \qquad
        h^o_i = \sum_{j \notin L} (H - E_0)_{ij} \psi_j

    The shift keeps second moments free of cancellation.
    """

    def __init__(self, state: SpaceState, determinants: np.ndarray, amplitudes: np.ndarray, n_large: int):
        """Make a table.

        Args:
            state: Its Hamiltonian and whether psi is even under spin flip; entries then stand for flip pairs.
            determinants: (n, 2 W) distinct bit strings, representatives of flip pairs; L first.
            amplitudes: psi (n,).
            n_large: Size of L.
        """
        self.hamiltonian, self.spin_flip, self.n_large = state.hamiltonian, state.spin_flip, n_large
        self.psi = Amplitudes.listed(determinants, amplitudes, state.spin_flip)
        self.multiplicity = multiplicities(determinants, state.spin_flip)
        """(n,) how many determinants each entry stands for."""
        self.reference = 0.0
        large, _ = self.rows(self.determinants[:n_large])
        psi, m = self.amplitudes[:n_large], self.multiplicity[:n_large]
        self.reference = float(np.sum(m * psi * large) / np.sum(m * psi**2))
        """E_0, Hartree."""

    @property
    def determinants(self) -> np.ndarray:
        """(n, 2 W)."""
        return self.psi.keys

    @property
    def amplitudes(self) -> np.ndarray:
        """Amplitudes psi (n,)."""
        return self.psi.values

    def positions(self, determinants: np.ndarray) -> np.ndarray:
        """Position (n,) of every bit string in the table, -1 where it is not listed."""
        return find_rows(self.psi.slots, self.psi.keys, determinants)

    def rows(self, determinants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(h_L, h_o)``, each (n,); connections that are not listed count as zero."""
        parts = applied_rows(
            self.hamiltonian.tables, determinants, self.psi, self.n_large, shift=self.reference
        )
        return parts[:, 0], parts[:, 1]

    def reached_from_large(self) -> np.ndarray:
        """``h_L`` (n,) of every entry of the table, from the rows of L alone."""
        return scattered_rows(
            self.hamiltonian.tables, self.psi, self.multiplicity, self.n_large, shift=self.reference
        )

    def rows_completed(
        self, determinants: np.ndarray, amplitudes_of: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Like :meth:`rows`, where connections may be missing from the table.

        Args:
            determinants: (n, 2 W) bit strings, representatives of flip pairs.
            amplitudes_of: Bit strings (k, 2 W) -> psi (k,); asked once for every determinant missing
                from the table in a block of rows.
        """
        size = max(1, CONNECTIONS_AT_ONCE // self.hamiltonian.max_conn_size)
        blocks = [determinants[lo : lo + size] for lo in range(0, len(determinants), size)]
        large, other = zip(*(self._completed_block(block, amplitudes_of) for block in blocks), strict=True)
        return np.concatenate(large), np.concatenate(other)

    def _completed_block(self, rows, amplitudes_of):
        counts, connected, elements = flat_connections(self.hamiltonian.tables, rows)
        starts = np.cumsum(counts) - counts
        elements[starts] -= self.reference  # the diagonal comes first
        if self.spin_flip:
            connected = spin_flip_representatives(connected)
        position = self.positions(connected)
        missing = position < 0
        distinct, index = merge_equal(connected[missing])
        psi = self.amplitudes[position]
        if len(distinct):
            psi[missing] = amplitudes_of(distinct)[index]
        terms = elements * psi
        in_large = (position >= 0) & (position < self.n_large)
        large = np.add.reduceat(np.where(in_large, terms, 0.0), starts)
        return large, np.add.reduceat(np.where(in_large, 0.0, terms), starts)
