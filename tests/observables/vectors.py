"""States with known density matrices: FCI vectors of PySCF's as lists of determinants."""

from itertools import combinations

import numpy as np

from hamiltonians import MolecularIntegrals, OrbitalProperties
from nnbf.determinants import spin_flip_representatives, words_per_spin
from nnbf.observables import Configurations, MolecularMeasurement
from nnbf.observables.quasiparticle import ConfigurationTable, Removal, plane_wave, with_changed_filling
from nnbf.observables.spin import molecular_s_squared


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


def expand(vector, n_orbitals, electrons, *, fold=False, irreps=None) -> Configurations:
    """An FCI vector as an expansion, folded where it is even under spin flip."""
    determinants, psi = vector_to_lists(vector, n_orbitals, electrons)
    if fold:
        same = np.all(spin_flip_representatives(determinants) == determinants, axis=1)
        determinants, psi = determinants[same], psi[same]
    return Configurations.expansion(determinants, psi, n_orbitals, spin_flip=fold, irreps=irreps)


def random_vector(n_orbitals, electrons, seed=0, *, even=False, sparse=0.0) -> np.ndarray:
    """A normalised random vector; ``even`` under spin flip, with a share of zeros."""
    rng = np.random.default_rng(seed)
    shape = tuple(len(strings(n_orbitals, n)) for n in electrons)
    vector = rng.normal(size=shape) * (rng.random(shape) >= sparse)
    if even:
        vector = vector + vector.T
    return vector / np.linalg.norm(vector)


def measured(state, overlap=None, *, rdm2=False) -> MolecularMeasurement:
    """What observables of a state are made from; no Hamiltonian is needed for these."""
    size = state.n_orbitals
    pairs = size * (size + 1) // 2
    n_alpha, n_beta = (int(np.sum(part)) for part in np.split(state.occupations[0], 2))
    integrals = MolecularIntegrals(0.0, np.zeros((size, size)), np.zeros((pairs, pairs)), n_alpha, n_beta)
    return MolecularMeasurement(integrals, state, OrbitalProperties(overlap_alpha_beta=overlap), rdm2=rdm2)


def one_body_density(state) -> np.ndarray:
    """One-particle density matrices (2, M, M), both triangles summed independently."""
    return measured(state).one_body_raw[0]


def two_body_density(state):
    """Two-particle density matrices."""
    return measured(state, rdm2=True).two_body[0]


def s_squared(state, overlap=None) -> float:
    """<S^2>."""
    return molecular_s_squared(measured(state, overlap)).value


def enumerated_weight(model, momentum, log_larger, log_smaller, *, spin=0) -> float:
    """|<smaller|c_k|larger>|^2 by sums over all configurations; states need not be normalised."""
    larger, smaller = ConfigurationTable(model), ConfigurationTable(with_changed_filling(model, -1, spin))
    matrix = Removal(larger, smaller, spin).matrix(plane_wave(model, momentum))
    return abs(np.vdot(smaller.vector(log_smaller), matrix @ larger.vector(log_larger))) ** 2
