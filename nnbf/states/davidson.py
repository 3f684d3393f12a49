"""Lowest eigenvectors of sparse symmetric matrices, several at once, the same ones every time.

Davidson, J. Comput. Phys. 17, 87 (1975), with blocks (Liu, 1978): degenerate eigenvalues come out complete,
which Lanczos with one vector does not promise.
"""

import numpy as np
import scipy.sparse

from nnbf.determinants.parallel import sparse_times_dense

#: Up to this size matrices are diagonalised completely.
DENSE = 1200
#: Vectors sought besides those that are wanted, so that none of them is missed.
GUARD = 2
#: Norm of the residual of a wanted vector (Hartree): its energy is right to the square of it over the gap.
RESIDUAL = 1e-6
_LARGEST, _ITERATIONS = 12, 200  # subspace, in units of the vectors sought


def lowest_eigenvectors(
    matrix: scipy.sparse.csr_matrix, count: int, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Lowest eigenvalues (count,), rising, and eigenvectors (n, count); all where there are fewer.

    Args:
        matrix: Symmetric, (n, n).
        count: How many.
        start: (n, k) vectors close to the lowest ones, where some are known.

    Raises:
        ArithmeticError: It did not converge.
    """
    size = matrix.shape[0]
    if size <= DENSE:
        values, vectors = np.linalg.eigh(matrix.toarray())
        return values[:count], vectors[:, :count]
    diagonal = matrix.diagonal()
    wanted = min(count, size)
    n_blocks = min(wanted + GUARD, size)
    basis = _orthonormal(_beginning(diagonal, n_blocks, start))
    products = sparse_times_dense(matrix, basis)
    for _ in range(_ITERATIONS):
        values, inside = np.linalg.eigh(basis.T @ products)
        vectors, images = basis @ inside[:, :n_blocks], products @ inside[:, :n_blocks]
        residuals = images - vectors * values[:n_blocks]
        norms = np.linalg.norm(residuals, axis=0)
        if np.all(norms[:wanted] < RESIDUAL):
            return values[:wanted], vectors[:, :wanted]
        if basis.shape[1] + n_blocks > _LARGEST * n_blocks:
            basis, products = vectors, images
        open_ones = np.flatnonzero(norms > 0.5 * RESIDUAL)
        gaps = diagonal[:, None] - values[open_ones]
        gaps = np.where(np.abs(gaps) < 1e-2, np.copysign(1e-2, gaps), gaps)
        more = _orthonormal(residuals[:, open_ones] / gaps, basis)
        if not more.shape[1]:
            break
        basis = np.concatenate([basis, more], axis=1)
        products = np.concatenate([products, sparse_times_dense(matrix, more)], axis=1)
    raise ArithmeticError(f"{wanted} eigenvectors of {size:,} determinants did not converge")


def _beginning(diagonal, count, start):
    """Vectors to begin with: those that are known, then the lowest determinants with something of all."""
    known = np.zeros((len(diagonal), 0)) if start is None else start[:, :count]
    missing = count - known.shape[1]
    if not missing:
        return known
    vectors = 1e-3 * np.random.default_rng(0).standard_normal((len(diagonal), missing))
    vectors /= (1.0 + diagonal - diagonal.min())[:, None]
    # Known vectors are made of the lowest determinants: others are needed.
    lowest = np.argsort(diagonal, kind="stable")[:count]
    vectors[lowest[-missing:], np.arange(missing)] += 1.0
    return np.concatenate([known, vectors], axis=1)


def _orthonormal(vectors, against=None):
    """Orthonormal columns of the same span, orthogonal to others; what is contained in these is left out."""
    for _ in range(2):
        if against is not None:
            vectors = vectors - against @ (against.T @ vectors)
        norms = np.linalg.norm(vectors, axis=0)
        vectors = vectors[:, norms > 0] / norms[norms > 0]
        if against is None:
            break
    vectors, triangle = np.linalg.qr(vectors)
    return vectors[:, np.abs(np.diag(triangle)) > 1e-8]
