"""Eigenvectors as another processor could return them, in every program that finds this folder on its path.

``NNBF_TEST_ROTATION=seed make test`` puts it there, for the tests and the commands that they start. Vectors
of degenerate eigenvalues come out in another mixture, and every vector with another sign: orbitals, start
vectors and networks made of them may not decide whether a test passes. One seed is one processor: the same
matrix has the same eigenvectors every time.
"""

import functools
import os

import numpy as np
import scipy.linalg
from scipy.stats import ortho_group

SAME = 1e-9


def mixture(values: np.ndarray, seed: int) -> np.ndarray:
    """Orthogonal matrix (n, n) that mixes eigenvectors of equal eigenvalues (n,), and changes signs."""
    rng = np.random.default_rng([seed, values.size])
    turn = np.diag(rng.choice([-1.0, 1.0], size=values.size))
    ends = np.flatnonzero(np.diff(values) > SAME * max(1.0, np.abs(values).max(initial=0.0))) + 1
    for members in np.split(np.arange(values.size), ends):
        if members.size > 1:
            turn[np.ix_(members, members)] = ortho_group.rvs(members.size, random_state=rng)
    return turn


def turned(eigh, seed):
    """Return `eigh` with its vectors mixed."""

    @functools.wraps(eigh)
    def mixed(*args, **kwargs):
        found = eigh(*args, **kwargs)
        if not isinstance(found, tuple) or found[0].size == 0:
            return found
        values, vectors = found
        size = values.shape[-1]
        turns = np.array([mixture(row, seed) for row in values.reshape(-1, size)])
        vectors = vectors @ turns.reshape(*values.shape, size)
        return found._replace(eigenvectors=vectors) if hasattr(found, "_replace") else (values, vectors)

    mixed.turned = True
    return mixed


if os.environ.get("NNBF_TEST_ROTATION") and not hasattr(np.linalg.eigh, "turned"):
    for module in (np.linalg, scipy.linalg):
        module.eigh = turned(module.eigh, int(os.environ["NNBF_TEST_ROTATION"]))
