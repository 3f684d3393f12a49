r"""Block Lanczos with full re-orthogonalisation: poles and weights of Green's functions.

Those of :math:`\langle \psi|O_p^\dagger (z - H)^{-1} O_q|\psi\rangle`. In the orthonormal basis of the
Krylov space of :math:`\phi_p = O_p|\psi\rangle`, H is block tridiagonal, and its resolvent the (matrix)
continued fraction. Its eigenvectors give poles and amplitudes :math:`\langle b|O_p|\psi\rangle`; after n
steps moments up to order 2n - 1 are exact (Haydock, Solid State Phys. 35, 215 (1980)).
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse

#: Directions of a block shorter than this share of its first are in the space already.
INDEPENDENT = 1e-9
#: Vectors that a Krylov space has at most.
MOST_VECTORS = 600


@dataclass(frozen=True, eq=False)
class Poles:
    """Ritz states of a Krylov space."""

    energies: np.ndarray
    """(K,) rising."""
    amplitudes: np.ndarray
    """(K, b) <b|O_p|psi>."""
    residuals: np.ndarray
    """(K,) norms |H b - E b|: the distance to an eigenvalue is not larger."""
    vectors: np.ndarray
    """(n, K) the states, where asked for; (n, 0) else."""
    closed: bool
    """True where the Krylov space is closed under H: nothing more would come."""

    @property
    def weights(self) -> np.ndarray:
        """(K,) sum_p |<b|O_p|psi>|^2."""
        return np.sum(np.abs(self.amplitudes) ** 2, axis=1)


def lanczos_poles(
    matrix: scipy.sparse.csr_matrix,
    starts: np.ndarray,
    steps: int,
    *,
    vectors: bool = False,
    least: float = INDEPENDENT,
) -> Poles:
    """Poles after some steps of block Lanczos.

    Args:
        matrix: Hermitian (n, n).
        starts: (n, b), not all zero; dependent ones count once.
        steps: Steps, each of at most b products with the matrix; fewer where that would be more than
            `MOST_VECTORS`.
        vectors: Whether the states are wanted.
        least: Directions of the starts that are shorter than this share of all of them are left out.
    """
    n = matrix.shape[0]
    dtype = np.result_type(matrix.dtype, starts.dtype, float)
    starts = np.asarray(starts, dtype)
    size = float(np.linalg.norm(starts)) * least / INDEPENDENT
    block = _orthonormal(starts, np.zeros((n, 0), dtype), size)
    steps = max(2, min(steps, MOST_VECTORS // block.shape[1]))
    room = min(n, steps * block.shape[1])
    basis, tridiagonal = np.zeros((n, room), dtype, order="F"), np.zeros((room, room), dtype)
    used, tail = 0, np.zeros((0, 0), dtype)
    for _ in range(steps):
        here = slice(used, used + block.shape[1])
        basis[:, here], used = block, here.stop
        image = matrix @ block
        within = basis[:, :used].conj().T @ image
        tridiagonal[:used, here], tridiagonal[here, :used] = within, within.conj().T
        image -= basis[:, :used] @ within
        scale = max(float(np.abs(tridiagonal[:used, :used]).max()), 1.0)
        block = _orthonormal(image, basis[:, :used], scale)[:, : n - used]
        tail = block.conj().T @ image
        if not block.shape[1] or used + block.shape[1] > room:
            break
    energies, rotation = np.linalg.eigh(tridiagonal[:used, :used])
    amplitudes = rotation.conj().T @ (basis[:, :used].conj().T @ starts)
    residuals = np.linalg.norm(tail @ rotation[here], axis=0)
    states = basis[:, :used] @ rotation if vectors else np.zeros((n, 0), dtype)
    return Poles(energies, amplitudes, residuals, states, not block.shape[1])


def followed_eigenvector(
    matrix: scipy.sparse.csr_matrix, start: np.ndarray, *, tolerance: float = 1e-9, steps: int = 400
) -> tuple[float, np.ndarray]:
    """Lowest eigenpair that a state has a part of, by Lanczos from it: with all its symmetries.

    Restarted from its best vector where the space grows large. Among levels below the state's own energy
    the one of largest overlap is taken where that is above one half: an excited level stays what it is.

    Args:
        matrix: Hermitian (n, n).
        start: psi (n,).
        tolerance: Residual norm to stop at.
        steps: Products with the matrix at most.
    """
    psi = start / np.linalg.norm(start)
    at_once = min(60, len(psi))
    made, vector, energy = 0, psi, 0.0
    while made < steps:
        found = lanczos_poles(matrix, vector[:, None], at_once, vectors=True)
        made += at_once
        shares = np.abs(found.vectors.conj().T @ psi) ** 2
        best = int(np.argmax(shares)) if shares.max() > 0.5 else 0
        energy, vector = float(found.energies[best]), found.vectors[:, best]
        if found.residuals[best] < tolerance or found.closed:
            break
    phase = np.vdot(vector, psi)
    return energy, vector * (phase / abs(phase) if abs(phase) > 0 else 1.0)


def _orthonormal(block, basis, scale):
    """Orthonormal directions of a block outside a basis."""
    for _ in range(2):  # once is not enough in floating point
        block = block - basis @ (basis.conj().T @ block)
    left, sizes, _ = np.linalg.svd(block, full_matrices=False)
    left = left[:, sizes > INDEPENDENT * scale]
    if left.shape[1]:
        # What was small in a block is not orthogonal to the basis any more, once it is scaled up.
        left = left - basis @ (basis.conj().T @ left)
        left = np.linalg.qr(left)[0]
    return left
