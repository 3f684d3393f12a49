r"""The quantity that is minimised: the energy, and penalties on what is not wanted.

A penalty on spin contamination makes it :math:`H + \lambda (S^2 - S_z (S_z + 1))`, one on known levels
:math:`H + \lambda \sum_k |k\rangle\langle k|`, whose ground state is the next level.

``S^2 - S_z (S_z + 1) = S_- S_+ = B^T B`` with the raising operator B, so that the spin penalty of a state is
``lambda |S_+ psi|^2``: it vanishes for S = S_z and is lambda (2 S_z + 2) one step of S above. It is a
two-body operator, but none of real symmetric integrals (pq|rs), and so is added to the matrix on a space.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import scipy.sparse

from nnbf.determinants import build_hash_table, find_rows
from nnbf.determinants.spin_ladder import spin_raising_matrix
from nnbf.operators import Hamiltonian, MolecularHamiltonian
from nnbf.operators.lattice import s_squared_diagonal, spin_exchanges
from nnbf.states.space import Space

if TYPE_CHECKING:
    from nnbf.states.space_state import SpaceState

#: How far an overlap of alpha with beta orbitals may be from an orthogonal matrix.
_NOT_ORTHOGONAL = 1e-6


class PenaltyTerms(NamedTuple):
    """A penalty on the real coordinates of a space: ``sparse + strength * vectors^T vectors``."""

    sparse: scipy.sparse.csr_matrix | None
    """Symmetric (n, n)."""
    vectors: np.ndarray | None = None
    """(k, n), orthonormal."""
    strength: float = 0.0
    """Energy."""


class Moves(NamedTuple):
    """Rows of an operator on configurations: its diagonal, and what else they lead to."""

    diagonal: np.ndarray
    """(n,)."""
    row: np.ndarray
    """(k,) configuration that every element belongs to."""
    images: np.ndarray
    """(k, modes) what it leads to."""
    element: np.ndarray
    """(k,)."""
    strength: float
    """Factor of all elements."""


class Penalty(Protocol):
    """Anything that is added to H, on a space or on samples; one that is for either alone raises."""

    def terms(self, hamiltonian: Hamiltonian, space: Space, is_real: bool) -> PenaltyTerms:
        """The penalty on real coordinates of a space, imaginary parts last where psi is complex."""

    def moves(self, rows: np.ndarray) -> Moves:
        """The penalty on configurations (n, modes) of samples."""


@dataclass(frozen=True, eq=False)
class Objective:
    """A Hamiltonian and penalties."""

    hamiltonian: Hamiltonian
    """H, whose expectation value is the energy."""
    penalties: tuple[Penalty, ...] = field(default=())
    """Added to H in what optimisers minimise."""
    rounding: float = 0.0
    """Molecules: elements of H below this (Hartree) are rounded at random in local energies of samples, right
    on average (:class:`~nnbf.determinants.rows.Rounding`)."""


def as_objective(objective: Hamiltonian | Objective) -> Objective:
    """A Hamiltonian alone is an objective without penalties."""
    return objective if isinstance(objective, Objective) else Objective(objective)


@dataclass(frozen=True, eq=False)
class SpinPenalty:
    """Strength of a penalty on total spins above the projection, and what S_+ needs to know."""

    strength: float
    """lambda, Hartree."""
    overlap: np.ndarray | None = None
    """(M, M) overlap of alpha with beta orbitals; None where they are the same."""

    def __post_init__(self):
        """Check the overlap.

        Raises:
            ValueError: It is not orthogonal: S_+ leaves the orbitals, as with frozen cores of UHF.
        """
        if self.overlap is None:
            return
        unit = self.overlap.T @ self.overlap
        if np.abs(unit - np.eye(len(unit))).max() > _NOT_ORTHOGONAL:
            raise ValueError("alpha and beta orbitals span different spaces: no spin penalty for these")

    def matrix(self, determinants: np.ndarray, n_orbitals: int, fold: bool) -> scipy.sparse.csr_matrix:
        """``lambda S_- S_+`` (n, n) on the orthonormal basis of determinants, Hartree.

        Args:
            determinants: (n, 2 W) bit strings.
            n_orbitals: M.
            fold: Whether entries stand for even combinations with their spin flips.
        """
        raising = spin_raising_matrix(determinants, n_orbitals, fold, self.overlap)
        return (self.strength * (raising.T @ raising)).tocsr()

    def terms(self, hamiltonian: Hamiltonian, space: Space, is_real: bool) -> PenaltyTerms:
        """See :class:`Penalty`.

        Raises:
            ValueError: The space is no list of determinants.
        """
        if not isinstance(hamiltonian, MolecularHamiltonian) or space.transform is not None:
            raise ValueError("a spin penalty is for real wave functions on lists of determinants")
        return PenaltyTerms(self.matrix(space.configurations, hamiltonian.n_orbitals, space.spin_flip))

    def moves(self, rows: np.ndarray) -> Moves:
        """See :class:`Penalty`.

        Raises:
            ValueError: Alpha and beta orbitals differ.
        """
        if self.overlap is not None:
            raise ValueError("a spin penalty on samples is for the same alpha and beta orbitals")
        n_sites = rows.shape[1] // 2
        row, images, sign = spin_exchanges(rows, n_sites)
        up, down = rows[:, :n_sites].sum(axis=1, dtype=float), rows[:, n_sites:].sum(axis=1, dtype=float)
        s_z = 0.5 * (up - down)
        diagonal = s_squared_diagonal(rows, n_sites) - s_z * (s_z + 1.0)
        return Moves(diagonal, row, images, sign, self.strength)


@dataclass(frozen=True, eq=False)
class Exclude:
    """Known levels that are pushed up, so that the next one is the lowest."""

    levels: tuple["SpaceState", ...]
    """States of the levels, each as on its own space."""
    strength: float
    """Energy; more than the gap to be bridged."""

    def terms(self, hamiltonian: Hamiltonian, space: Space, is_real: bool) -> PenaltyTerms:
        """See :class:`Penalty`.

        Raises:
            ValueError: A level is of another sector.
        """
        vectors = excluded_vectors(self.levels, space)
        if not is_real:
            turned = 1j * vectors
            vectors = np.concatenate([np.concatenate([v.real, v.imag], axis=1) for v in (vectors, turned)])
        elif np.iscomplexobj(vectors):
            vectors = vectors.real
        return PenaltyTerms(None, vectors, float(self.strength))

    def moves(self, rows: np.ndarray) -> Moves:
        """See :class:`Penalty`.

        Raises:
            ValueError: Always.
        """
        raise ValueError("levels can be excluded in exact sums alone, not in samples")


def excluded_vectors(levels: Sequence["SpaceState"], space: Space) -> np.ndarray:
    """Coordinates (k, n_states) of levels on a space, orthonormal as far as they lie in it.

    Raises:
        ValueError: A level is of another sector.
    """
    rows = np.array([_coordinates_on(level, space) for level in levels]).reshape(len(levels), space.n_states)
    if not len(levels):
        return rows
    orthonormal, triangle = np.linalg.qr(rows.T)
    # Levels without a part in the space are left out.
    return orthonormal.T[np.abs(np.diag(triangle)) > 1e-12]


def _coordinates_on(level, space):
    own, vector = level.space, level.vector()
    if own.transform is not None or space.transform is not None:
        if own.n_states != space.n_states or not np.array_equal(own.configurations, space.configurations):
            raise ValueError("a level of another sector cannot be excluded")
        return vector
    if own.spin_flip != space.spin_flip:
        raise ValueError("a level can be excluded from states with the same spin-flip symmetry alone")
    place = find_rows(build_hash_table(own.configurations), own.configurations, space.configurations)
    return np.where(place >= 0, vector[place], 0.0)
