"""Parts of a variational space by irrep, and the eigenvectors of H on them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from nnbf.determinants import (
    build_hash_table,
    find_rows,
    multiplicities,
    spin_flip,
    spin_flip_representatives,
)
from nnbf.determinants.spin_ladder import spin_raising_matrix
from nnbf.operators import MolecularHamiltonian


@dataclass(frozen=True, eq=False)
class Block:
    """The part of V in one irrep of the Abelian group."""

    code: int
    """Irrep, an XOR code."""
    determinants: np.ndarray
    """(n, 2 W) bit strings."""
    hamiltonian: MolecularHamiltonian
    """The Hamiltonian."""

    @cached_property
    def matrix(self) -> scipy.sparse.csr_matrix:
        """H (n, n), Hartree."""
        return self.hamiltonian.symmetric_matrix(self.determinants, np.ones(len(self.determinants)))

    def folded(self, parity: int | None) -> "Folded":
        """Coordinates of states of a parity under spin flip, None for any."""
        if parity not in self._folded:
            self._folded[parity] = Folded.of(self.determinants, parity)
        return self._folded[parity]

    @cached_property
    def _folded(self) -> dict[int | None, "Folded"]:
        return {}

    @cached_property
    def raising(self) -> scipy.sparse.csr_matrix:
        """S_+ on the determinants."""
        return spin_raising_matrix(self.determinants, self.hamiltonian.n_orbitals)


@dataclass(frozen=True, eq=False)
class Folded:
    """Coordinates of one parity under spin flip, or of all determinants of a block."""

    rows: np.ndarray
    """(n, 2 W) determinants that psi is looked at on."""
    transform: scipy.sparse.csr_matrix
    """(n, N) from amplitudes on the block to orthonormal coordinates."""

    @classmethod
    def of(cls, determinants: np.ndarray, parity: int | None) -> "Folded":
        """Coordinates of states of a parity, None for any.

        Args:
            determinants: (N, 2 W), closed under spin flip.
            parity: 1 or -1.
        """
        size = len(determinants)
        if parity is None:
            return cls(determinants, scipy.sparse.identity(size, format="csr"))
        weight = multiplicities(determinants)
        mine = np.all(spin_flip_representatives(determinants) == determinants, axis=1)
        mine &= (parity == 1) | (weight == 2.0)
        own = np.flatnonzero(mine)
        other = find_rows(build_hash_table(determinants), determinants, spin_flip(determinants[own]))
        twice = np.flatnonzero(weight[own] == 2.0)
        single = np.flatnonzero(weight[own] == 1.0)
        row = np.concatenate([twice, twice, single])
        column = np.concatenate([own[twice], other[twice], own[single]])
        half = np.full(len(twice), np.sqrt(0.5))
        entries = np.concatenate([half, parity * half, np.ones(len(single))])
        transform = scipy.sparse.csr_matrix((entries, (row, column)), shape=(len(own), size))
        return cls(determinants[own], transform)


@dataclass(frozen=True, eq=False)
class Eigenstate:
    """One eigenvector of H on V."""

    energy: float
    """Eigenvalue, Hartree."""
    block: Block
    """Block that it lies in."""
    vector: np.ndarray
    """(n,) normalised, the largest component positive."""
    number: int
    """Number among the states of its block, from 0, those of other spins included."""
    s_squared: float
    """<S^2>."""
    below: np.ndarray
    """(n, number) the states of the block below; of one parity where one spin was asked for."""
    term: int = 0
    """Number of its level, from 0: degenerate states are one."""
    partners: tuple[int, ...] = ()
    """Irreps of the states of its level, XOR codes, rising."""
    second_order: float = 0.0
    """Epstein-Nesbet correction for what V leaves out, Hartree."""
    stages: tuple[tuple[float, float], ...] = ()
    """(energy, second order) on V as it grew, Hartree."""

    @property
    def spin(self) -> float:
        """S, from <S^2>."""
        return round(np.sqrt(4.0 * max(self.s_squared, 0.0) + 1.0) - 1.0) / 2.0
