r"""The space in which a response is computed: all that H reaches, or what is regrown by amplitude.

Where the states that H reaches from O|psi> are few, the space is all of them, and the response of psi is
exact. Else it begins with the largest amplitudes of O|psi>; the poles found in it carry weights w_b, and by
first-order perturbation theory those configurations come in whose

.. math:: \sum_b g_b\, \frac{|\sum_i H_{ji} b_i|^2}{(E_b - H_{jj})^2}

are largest, as do those of the space that it keeps, by :math:`\sum_b g_b\,|b_i|^2`, where
:math:`g_b = w_b^{1/4} / (1 + E_b / \bar E)`, energies above the lowest strong pole (selected-CI
Green's functions: Mejuto-Zaera, Tubman, Whaley, arXiv:1711.04771, where the space of each one-particle
operator is selected anew).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse

from nnbf.determinants import build_hash_table, find_rows
from nnbf.determinants.hashing import merge_equal
from nnbf.determinants.rows import connected_partitions
from nnbf.determinants.slater_condon import diagonal_elements
from nnbf.operators import Hamiltonian, MolecularHamiltonian
from nnbf.response.krylov import Poles, lanczos_poles

#: Connections of one call.
AT_ONCE = 4_000_000
#: Configurations of largest weight that others are reached from, and their share of the weight.
MOST_CORE, CORE_SHARE = 5000, 0.9999
#: Poles that select, and the elements of H that are looked at.
MOST_POLES, SCREENING = 12, 1e-4
#: Smallest energy denominator (unit of energies) of first-order amplitudes.
LEAST_GAP = 0.3
#: Directions of several O_p|psi> that are shorter than this share of all are not propagated in a space that
#: is not complete.
LEAST_DIRECTION = 0.01
#: Smallest energy denominator of corrections to poles.
LEAST_DENOMINATOR = 0.05
#: Lanczos steps of a selection.
SELECTION_STEPS = 30


class Started(NamedTuple):
    """O_p|psi> of one or several operators on one list."""

    configurations: np.ndarray
    """(m, W) distinct bit strings."""
    amplitudes: np.ndarray
    """(m, b)."""

    @classmethod
    def of(cls, parts: "list[tuple[np.ndarray, np.ndarray]]") -> "Started":
        """Join the results of several operators."""
        keys, position = merge_equal(np.concatenate([keys for keys, _ in parts]))
        amplitudes = np.zeros((len(keys), len(parts)), np.result_type(*(a.dtype for _, a in parts)))
        first = 0
        for column, (own, values) in enumerate(parts):
            amplitudes[position[first : first + len(own)], column] = values
            first += len(own)
        return cls(keys, amplitudes)

    def on(self, configurations: np.ndarray) -> np.ndarray:
        """Amplitudes (n, b) on another list; what is not there counts as zero."""
        place = find_rows(build_hash_table(self.configurations), self.configurations, configurations)
        return np.where(place[:, None] >= 0, self.amplitudes[place], 0)

    def largest(self, size: int) -> np.ndarray:
        """The (at most) ``size`` configurations of largest amplitude."""
        order = np.argsort(-np.linalg.norm(self.amplitudes, axis=1), kind="stable")
        return self.configurations[order[:size]]


@dataclass(frozen=True, eq=False)
class ResponseSpace:
    """A list of configurations with H on it."""

    configurations: np.ndarray
    """(n, W) bit strings."""
    matrix: scipy.sparse.csr_matrix
    """H (n, n)."""
    complete: bool
    """True where H leads nowhere else."""


def response_spaces(hamiltonian: Hamiltonian, started: Started, most: int) -> Iterator[ResponseSpace]:
    """Yield spaces of growing size, the last one of ``most`` configurations or complete.

    Args:
        hamiltonian: H at the particle numbers of O|psi>.
        started: O|psi>.
        most: Largest size.
    """
    n_states = _states(hamiltonian)
    whole = _closure(hamiltonian, started.configurations, most) if n_states <= 32 * most else None
    if whole is not None:
        yield ResponseSpace(whole, hamiltonian.matrix(whole).tocsr(), True)
        return
    size = max(most // 8, 16)
    chosen = started.largest(size)
    while True:
        matrix = hamiltonian.matrix(chosen).tocsr()
        poles = lanczos_poles(
            matrix, started.on(chosen), SELECTION_STEPS, vectors=True, least=LEAST_DIRECTION
        )
        chosen, closed = _regrown(hamiltonian, chosen, poles, size)
        matrix = hamiltonian.matrix(chosen).tocsr()
        yield ResponseSpace(chosen, matrix, closed)
        if size >= most or closed:
            return
        size = min(2 * size, most)


def _states(hamiltonian):
    """Size of the Hilbert space, infinite where it cannot be counted."""
    return hamiltonian.hilbert.n_states if hamiltonian.hilbert.is_indexable else np.inf


def _closure(hamiltonian, configurations, most):
    """All that H reaches, in order of first encounter; None where that is more than ``most``."""
    known, done = configurations, 0
    while done < len(known) <= most:
        block = known[done : done + max(1, AT_ONCE // hamiltonian.max_conn_size)]
        reached = hamiltonian.pack(hamiltonian.connections(hamiltonian.unpack(block)).occupations)
        done += len(block)
        known, _ = merge_equal(np.concatenate([known, reached]))
    return known if len(known) <= most else None


def _regrown(hamiltonian, configurations, poles: Poles, size):
    """The most important configurations of a space and what it is connected to; True where that is all."""
    share = _shares(poles)
    order = np.argsort(-share, kind="stable")[:MOST_POLES]
    share, states = share[order] / share[order].sum(), poles.vectors[:, order]
    inside = np.abs(states) ** 2 @ share
    ranked = np.argsort(-inside, kind="stable")
    total = np.cumsum(inside[ranked])
    n_core = min(MOST_CORE, int(np.searchsorted(total, CORE_SHARE * total[-1])) + 1)
    core = ranked[:n_core]
    keys, sums = _couplings(hamiltonian, configurations[core], states[core], SCREENING)
    outside = find_rows(build_hash_table(configurations), configurations, keys) < 0
    keys, sums = keys[outside], sums[outside]
    if not len(keys):
        return configurations, n_core == len(configurations)
    gaps = poles.energies[order] - hamiltonian.diagonal(hamiltonian.unpack(keys))[:, None].real
    beside = (np.abs(sums) ** 2 / np.maximum(np.abs(gaps), LEAST_GAP) ** 2) @ share
    every = np.concatenate([configurations, keys])
    best = np.argsort(-np.concatenate([inside, beside]), kind="stable")[:size]
    return every[np.sort(best)], False


def second_orders(
    hamiltonian: Hamiltonian, configurations: np.ndarray, states: np.ndarray, energies: np.ndarray
) -> np.ndarray:
    """Epstein-Nesbet corrections (K,) of states (n, K) on a list for all that H reaches from it.

    Args:
        hamiltonian: H.
        configurations: (n, W).
        states: Normalised.
        energies: (K,) of the states.
    """
    total = np.zeros(len(energies))
    if isinstance(hamiltonian, MolecularHamiltonian) and not np.iscomplexobj(states):
        tables = hamiltonian.tables
        for k, energy in enumerate(energies):
            for keys, sums in connected_partitions(tables, configurations, states[:, k], False, 0.0):
                total[k] += np.sum(sums**2 / _gaps(diagonal_elements(tables, keys), energy))
        return total
    keys, sums = _couplings(hamiltonian, configurations, states, 0.0)
    outside = find_rows(build_hash_table(configurations), configurations, keys) < 0
    diagonal = hamiltonian.diagonal(hamiltonian.unpack(keys[outside])).real
    for k, energy in enumerate(energies):
        total[k] = np.sum(np.abs(sums[outside, k]) ** 2 / _gaps(diagonal, energy))
    return total


def _gaps(diagonal, energy):
    gaps = energy - diagonal
    return np.where(gaps < 0, np.minimum(gaps, -LEAST_DENOMINATOR), np.maximum(gaps, LEAST_DENOMINATOR))


def _shares(poles: Poles) -> np.ndarray:
    """How much each pole counts in a selection: weak ones too, those near the ground state most."""
    weights = poles.weights
    low = poles.energies[weights > 1e-3 * weights.max()].min()
    mean = max(float(weights @ poles.energies) / float(weights.sum()) - low, LEAST_GAP)
    return (
        weights**0.25 / (1.0 + np.maximum(poles.energies - low, 0.0) / mean) * (poles.energies > low - mean)
    )


def _couplings(hamiltonian, rows, states, threshold):
    """What H reaches from some configurations, with sum_i H_ji b_i (m, K) of each state."""
    block = max(1, AT_ONCE // hamiltonian.max_conn_size)
    lists, sums = [], []
    for lo in range(0, len(rows), block):
        found = hamiltonian.connections(hamiltonian.unpack(rows[lo : lo + block]), threshold=threshold)
        shape = len(found.occupations), len(rows[lo : lo + block])
        # Rows are <i|H|j>; what i brings to j is the conjugate.
        leads = scipy.sparse.csr_matrix((np.conj(found.element), (found.target, found.row)), shape=shape)
        lists.append(hamiltonian.pack(found.occupations))
        sums.append(leads @ states[lo : lo + block])
    keys, position = merge_equal(np.concatenate(lists))
    entries = np.ones(len(position)), (position, np.arange(len(position)))
    return keys, scipy.sparse.csr_matrix(entries, shape=(len(keys), len(position))) @ np.concatenate(sums)
