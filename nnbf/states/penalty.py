r"""A penalty on spin contamination: what is minimised is :math:`H + \lambda (S^2 - S_z (S_z + 1))`.

``S^2 - S_z (S_z + 1) = S_- S_+ = B^T B`` with the raising operator B, so that the penalty of a state is
``lambda |S_+ psi|^2``: it vanishes for S = S_z and is lambda (2 S_z + 2) one step of S above. It is a
two-body operator, but none of real symmetric integrals (pq|rs), and so is added to the matrix on V.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from nnbf.determinants.spin_ladder import spin_raising_matrix

#: How far an overlap of alpha with beta orbitals may be from an orthogonal matrix.
_NOT_ORTHOGONAL = 1e-6


@dataclass(frozen=True, eq=False)
class SpinPenalty:
    """Strength of a penalty, and what S_+ needs to know."""

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
