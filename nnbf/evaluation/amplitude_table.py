"""Rows of ``H psi`` in two parts: what large determinants contribute, and what all others do."""

import numpy as np

from nnbf.determinants import IntegralTables, diagonal_elements, max_connections
from nnbf.determinants.configurations import spin_flip_representatives
from nnbf.determinants.hashing import build_hash_table, find_rows, merge_equal
from nnbf.determinants.parallel import map_row_blocks
from nnbf.determinants.rows import applied_rows, flat_connections, scattered_rows

#: Connections that are held in memory at once where determinants are missing from the table.
CONNECTIONS_AT_ONCE = 2_000_000


class AmplitudeTable:
    r"""Amplitudes of listed determinants, the first ``n_large`` of which form the set L.

    Gives, for a determinant i and the Hamiltonian shifted by a reference energy,

    .. math:: h^L_i = \sum_{j \in L} (H - E_0)_{ij} \psi_j, \qquad
        h^o_i = \sum_{j \notin L} (H - E_0)_{ij} \psi_j

    The shift keeps second moments free of cancellation.
    """

    def __init__(
        self,
        tables: IntegralTables,
        counts: tuple[int, int],
        determinants: np.ndarray,
        amplitudes: np.ndarray,
        n_large: int,
        *,
        spin_flip: bool,
        shift: float = 0.0,
    ):
        """Make a table.

        Args:
            tables: Integral tables.
            counts: Numbers of alpha and beta electrons.
            determinants: (n, 2 W) distinct bit strings, representatives where ``spin_flip``; L first.
            amplitudes: psi (n,).
            n_large: Size of L.
            spin_flip: Whether psi is even under spin flip and entries stand for flip pairs.
            shift: Reference energy E_0, Hartree.
        """
        self.tables = tables
        self.counts = counts
        self.determinants = np.ascontiguousarray(determinants)
        self.amplitudes = np.asarray(amplitudes, dtype=np.float64)
        self.n_large = n_large
        self.spin_flip = spin_flip
        self.shift = shift
        self._slots = build_hash_table(self.determinants)
        self._capacity = max_connections(tables.n_orbitals, *counts) + 1

    def positions(self, determinants: np.ndarray) -> np.ndarray:
        """Position (n,) of every bit string in the table, -1 where it is not listed."""
        return find_rows(self._slots, self.determinants, determinants)

    def rows(self, determinants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(h_L, h_o)``, each (n,), of listed determinants all of whose connections are listed.

        Connections that are not listed count as zero.
        """
        determinants = np.ascontiguousarray(determinants)
        parts = np.empty((len(determinants), 2))
        diagonal = diagonal_elements(self.tables, determinants) - self.shift
        block = max(1, min(4096, -(-len(determinants) // 8)))

        def work(lo, hi):
            applied_rows(
                self.tables, determinants, diagonal, lo, hi, self.determinants, self._slots, self.amplitudes,
                self.n_large, self.spin_flip, self._capacity, parts,
            )  # fmt: skip

        map_row_blocks(work, len(determinants), block)
        return parts[:, 0], parts[:, 1]

    def reached_from_large(self, multiplicity: np.ndarray) -> np.ndarray:
        """``h_L`` (n,) of every entry of the table, from the rows of L alone.

        Args:
            multiplicity: How many determinants each entry stands for, (n,).
        """
        out = np.zeros(len(self.determinants))
        large = self.determinants[: self.n_large]
        diagonal = diagonal_elements(self.tables, large) - self.shift
        scattered_rows(
            self.tables, self.determinants, diagonal, self._slots, self.amplitudes, multiplicity,
            self.n_large, self.spin_flip, self._capacity, out,
        )  # fmt: skip
        return out

    def rows_completed(self, determinants: np.ndarray, amplitudes_of) -> tuple[np.ndarray, np.ndarray]:
        """Like :meth:`rows`, where connections may be missing from the table.

        Args:
            determinants: (n, 2 W) bit strings, representatives where ``spin_flip``.
            amplitudes_of: Bit strings (k, 2 W) -> psi (k,); asked once for every determinant missing
                from the table in a block of rows.
        """
        size = max(1, CONNECTIONS_AT_ONCE // self._capacity)
        blocks = [determinants[lo : lo + size] for lo in range(0, len(determinants), size)]
        parts = [self._completed_block(block, amplitudes_of) for block in blocks]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _completed_block(self, rows, amplitudes_of):
        counts, connected, elements = flat_connections(self.tables, rows, *self.counts)
        starts = np.cumsum(counts) - counts
        elements[starts] -= self.shift  # the diagonal comes first
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
