"""The molecular Hamiltonian as a NetKet operator over bit-packed determinants."""

from functools import cached_property

import netket as nk
import numpy as np

from nnbf.determinants import (
    build_tables,
    determinant_from_orbitals,
    max_connections,
    pack_occupations,
    unpack_occupations,
)
from nnbf.determinants.connections import flat_connections


class MolecularHamiltonian(nk.operator.DiscreteOperator):
    r"""Second-quantised molecular Hamiltonian with Slater-Condon matrix elements.

    .. math:: H = E_0 + \sum_{pq\sigma} h_{pq} c^+_{p\sigma} c_{q\sigma}
        + \tfrac12 \sum_{pqrs\sigma\tau} (pq|rs) c^+_{p\sigma} c^+_{r\tau} c_{s\tau} c_{q\sigma}

    Works wherever NetKet takes a discrete operator, and gives the selected-space method its compiled
    tables. Configurations are 0/1 occupations of 2M spin orbitals, **alpha in the first block**.
    """

    def __init__(self, integrals):
        """Build the tables.

        Args:
            integrals: ``hamiltonians.MolecularIntegrals``, restricted or spin-resolved.
        """
        hilbert = nk.hilbert.SpinOrbitalFermions(
            integrals.n_orbitals, s=1 / 2, n_fermions_per_spin=(integrals.n_alpha, integrals.n_beta)
        )
        super().__init__(hilbert)
        self.integrals = integrals
        """The integrals that the operator was built from."""
        self.tables = build_tables(integrals)
        """Compiled integral tables."""

    @property
    def n_orbitals(self) -> int:
        """Spatial orbitals M."""
        return self.integrals.n_orbitals

    @property
    def n_electrons(self) -> int:
        """Number of electrons."""
        return self.integrals.n_alpha + self.integrals.n_beta

    @property
    def dtype(self):
        """Matrix elements are real doubles."""
        return np.float64

    @property
    def is_hermitian(self) -> bool:
        """Always."""
        return True

    @cached_property
    def max_conn_size(self) -> int:
        """Upper bound on the connections of one configuration, itself included."""
        return 1 + max_connections(self.n_orbitals, self.integrals.n_alpha, self.integrals.n_beta)

    @cached_property
    def reference(self) -> np.ndarray:
        """Bit string (1, 2 W) of the reference determinant."""
        alpha, beta = self.integrals.reference_occupation
        return determinant_from_orbitals(alpha, beta, self.n_orbitals)

    def infinite_temperature_energy(self) -> float:
        """Mean of the diagonal over all determinants with the same electrons (Hartree): E_inf of the V-score.

        Wu et al., Science 386, 296 (2024).
        """
        m, tables = self.n_orbitals, self.tables
        counts = (self.integrals.n_alpha, self.integrals.n_beta)
        energy = tables.constant
        diagonal = np.arange(m)
        for spin, count in enumerate(counts):
            energy += count / m * np.trace(tables.one_body[spin])
            if m > 1:
                pairs = tables.same_single[spin][diagonal, diagonal].sum()
                energy += 0.5 * count * (count - 1) / (m * (m - 1)) * pairs
        energy += counts[0] * counts[1] / m**2 * tables.other_single[0][diagonal, diagonal].sum()
        return float(energy)

    def get_conn_flattened(
        self, x: np.ndarray, sections: np.ndarray, pad: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """NetKet's connected-element interface; see ``nk.operator.DiscreteOperator``."""
        x = np.asarray(x)
        counts, connected, elements = flat_connections(
            self.tables, pack_occupations(x), self.integrals.n_alpha, self.integrals.n_beta
        )
        occupations = unpack_occupations(connected, self.n_orbitals).astype(x.dtype)
        if not pad:
            sections[:] = np.cumsum(counts)
            return occupations, elements
        width = int(counts.max(initial=0))
        rows = np.repeat(np.arange(len(x)), counts)
        columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        padded = np.repeat(x[:, None, :], width, axis=1)
        values = np.zeros((len(x), width))
        padded[rows, columns] = occupations
        values[rows, columns] = elements
        sections[:] = width * np.arange(1, len(x) + 1)
        return padded.reshape(-1, x.shape[1]), values.reshape(-1)

    def __repr__(self):
        return (
            f"MolecularHamiltonian(n_orbitals={self.n_orbitals}, n_alpha={self.integrals.n_alpha}, "
            f"n_beta={self.integrals.n_beta})"
        )
