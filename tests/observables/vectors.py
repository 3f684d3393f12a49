"""States with known density matrices: FCI vectors of PySCF's as lists of determinants."""

from itertools import combinations

import numpy as np

from nnbf.determinants import spin_flip_representatives, words_per_spin
from nnbf.observables import Expansion


def strings(n_orbitals, n_electrons) -> np.ndarray:
    """Bit strings (n, W) in PySCF's order (by value)."""
    numbers = sorted(sum(1 << p for p in chosen) for chosen in combinations(range(n_orbitals), n_electrons))
    words = words_per_spin(n_orbitals)
    rows = [[(number >> 64 * w) & (2**64 - 1) for w in range(words)] for number in numbers]
    return np.array(rows, dtype=np.uint64).reshape(len(numbers), words)


def vector_to_lists(vector, n_orbitals, electrons, *, keep=None) -> tuple[np.ndarray, np.ndarray]:
    """Determinants and amplitudes of an FCI vector (n_alpha strings, n_beta strings)."""
    alpha, beta = (strings(n_orbitals, n) for n in electrons)
    a, b = np.divmod(np.arange(vector.size), len(beta))
    determinants = np.concatenate([alpha[a], beta[b]], axis=1)
    keep = np.ones(vector.size, bool) if keep is None else keep
    return determinants[keep], vector.ravel()[keep]


def expand(vector, n_orbitals, electrons, *, fold=False, irreps=None) -> Expansion:
    """An FCI vector as an expansion, folded where it is even under spin flip."""
    determinants, psi = vector_to_lists(vector, n_orbitals, electrons)
    if fold:
        same = np.all(spin_flip_representatives(determinants) == determinants, axis=1)
        determinants, psi = determinants[same], psi[same]
    return Expansion(determinants, psi, n_orbitals, spin_flip=fold, irreps=irreps)


def random_vector(n_orbitals, electrons, seed=0, *, even=False, sparse=0.0) -> np.ndarray:
    """A normalised random vector; ``even`` under spin flip, with a share of zeros."""
    rng = np.random.default_rng(seed)
    shape = tuple(len(strings(n_orbitals, n)) for n in electrons)
    vector = rng.normal(size=shape) * (rng.random(shape) >= sparse)
    if even:
        vector = vector + vector.T
    return vector / np.linalg.norm(vector)
