"""Lowest FCI state by Lanczos iterations with restarts: slower than Davidson's, and not to be held up.

Davidson's method depends on its guess and its preconditioner. Where several configurations are nearly
degenerate (a stretched C2) its space fills up with rounding errors, or it stays with a state of another
hidden symmetry. A random start has a part of every state.
"""

from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

MOST_STATES = 500_000
"""States up to which the vectors that are kept fit (160 MB)."""

_DENSE = 40  # states up to which H is built
_KEPT = 40  # Lanczos vectors between restarts
_TOLERANCE = 1e-11  # of the residual, relative to the energy


def lowest_by_lanczos(
    solver: Any, task: tuple, allowed: np.ndarray, *, symmetric: bool
) -> tuple[float, np.ndarray] | None:
    """Find the lowest eigenvalue among some determinants, and its vector.

    Args:
        solver: PySCF's FCI solver, whose `kernel` was called.
        task: What that was given: one- and two-particle integrals, orbitals, (alpha, beta) electrons.
        allowed: Marks the determinants, (alpha strings, beta strings), an irrep or all.
        symmetric: Only states that stay the same where alpha and beta are swapped (even S).

    Returns:
        Energy in Hartree and vector of the shape of `allowed`; None above `MOST_STATES`, or where it does not
        converge.
    """
    kept = np.tril(allowed) if symmetric else allowed
    alpha, beta = np.nonzero(kept)
    number = alpha.size
    if number > MOST_STATES:
        return None
    # A pair of determinants that are each other's flips is one state.
    scale = np.where(symmetric & (alpha != beta), np.sqrt(2.0), 1.0)
    one_body, two_body, *space = task
    absorbed = solver.absorb_h1e(one_body, two_body, *space, 0.5)
    links = solver.gen_linkstr(*space)

    def expanded(packed: np.ndarray) -> np.ndarray:
        full = np.zeros(allowed.shape)
        full[alpha, beta] = packed / scale
        if symmetric:
            full[beta, alpha] = full[alpha, beta]
        return full

    def product(packed: np.ndarray) -> np.ndarray:
        full = np.asarray(solver.contract_2e(absorbed, expanded(packed.ravel()), *space, links))
        if symmetric:
            full = 0.5 * (full + full.T)
        return full[alpha, beta] * scale

    if number <= _DENSE:
        matrix = np.stack([product(row) for row in np.eye(number)])
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        return float(values[0]), expanded(vectors[:, 0])
    operator = LinearOperator((number, number), matvec=product, dtype=float)
    start = np.random.default_rng(0).normal(size=number)
    try:
        values, vectors = eigsh(
            operator, k=1, which="SA", v0=start, ncv=min(_KEPT, number - 1), tol=_TOLERANCE, maxiter=1000
        )
    except ArpackNoConvergence:
        return None
    return float(values[0]), expanded(vectors[:, 0])
