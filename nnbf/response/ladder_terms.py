r"""One-particle operators on lists of configurations, whatever the Hamiltonian packs them into.

.. math:: O = \sum_t v_t\, c^\dagger_{a_t} c_{b_t}, \qquad \sum_t v_t\, c_{b_t}, \qquad \text{or} \quad
    \sum_t v_t\, c^\dagger_{a_t}

Modes are in the order of the Hilbert space, the alpha (up) block first; a configuration is the product of
creation operators in ascending order on the vacuum.
"""

from dataclasses import dataclass

import numpy as np

from hamiltonians.compiled import compiled
from nnbf.determinants.hashing import fill, find, grown, hash_words
from nnbf.operators import Hamiltonian


@dataclass(frozen=True, eq=False)
class LadderTerms:
    """A sum of terms with at most one creation and one annihilation operator."""

    creators: np.ndarray
    """(T,) modes that are filled, -1 for none."""
    annihilators: np.ndarray
    """(T,) modes that are emptied first, -1 for none."""
    values: np.ndarray
    """(T,) coefficients, real or complex."""

    @classmethod
    def one_body(cls, matrix: np.ndarray) -> "LadderTerms":
        """sum_ab O_ab c+_a c_b of a matrix (modes, modes), zeros left out."""
        creators, annihilators = np.nonzero(matrix)
        return cls(creators, annihilators, np.asarray(matrix)[creators, annihilators])

    @classmethod
    def diagonal(cls, values: np.ndarray) -> "LadderTerms":
        """sum_a f_a n_a of numbers (modes,); it keeps zeros, so that it is never empty."""
        modes = np.arange(len(values))
        return cls(modes, modes, np.asarray(values))

    @classmethod
    def removal(cls, orbital: np.ndarray, first: int = 0) -> "LadderTerms":
        """c_phi = sum_i conj(phi_i) c_i of an orbital on the modes from ``first`` on."""
        modes = np.flatnonzero(orbital)
        values = np.conj(np.asarray(orbital)[modes])
        return cls(np.full(len(modes), -1), first + modes, values)

    @classmethod
    def addition(cls, orbital: np.ndarray, first: int = 0) -> "LadderTerms":
        """c+_phi = sum_i phi_i c+_i of an orbital on the modes from ``first`` on."""
        return cls.removal(orbital, first).adjoint()

    def adjoint(self) -> "LadderTerms":
        """The adjoint operator."""
        return LadderTerms(self.annihilators, self.creators, np.conj(self.values))

    def __add__(self, other: "LadderTerms") -> "LadderTerms":
        parts = ("creators", "annihilators", "values")
        return LadderTerms(*(np.concatenate([getattr(self, p), getattr(other, p)]) for p in parts))

    def applied(
        self, hamiltonian: Hamiltonian, configurations: np.ndarray, amplitudes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """O|psi> as distinct bit strings (m, W) and their amplitudes (m,).

        Args:
            hamiltonian: Packs configurations of its modes.
            configurations: (n, W) distinct bit strings.
            amplitudes: psi (n,).
        """
        modes = hamiltonian.hilbert.size
        single = _packed(hamiltonian, np.eye(modes))
        below = _packed(hamiltonian, np.tri(modes, k=-1))
        psi = np.ascontiguousarray(amplitudes, dtype=complex)
        values = np.ascontiguousarray(self.values, dtype=complex)
        where = np.ascontiguousarray(self.creators), np.ascontiguousarray(self.annihilators)
        rows = np.ascontiguousarray(configurations)
        keys, sums = _applied(rows, psi, *where, values, single, below)
        is_real = not (np.iscomplexobj(amplitudes) or np.iscomplexobj(self.values))
        return keys, sums.real.copy() if is_real else sums


def _packed(hamiltonian, occupations):
    # Of two values a mode the larger is "filled".
    return hamiltonian.pack(np.where(occupations > 0, 1, min(hamiltonian.hilbert.local_states)))


@compiled()
def _odd(words, mask):
    """Parity of the particles in a mask."""
    folded = np.uint64(0)
    for w in range(words.shape[0]):
        folded ^= words[w] & mask[w]
    for shift in (32, 16, 8, 4, 2, 1):
        folded ^= folded >> np.uint64(shift)
    return folded & np.uint64(1)


@compiled(inline="always")
def _filled(words, mask):
    for w in range(words.shape[0]):
        if words[w] & mask[w]:
            return True
    return False


@compiled()
def _applied(rows, psi, creators, annihilators, values, single, below):
    n_words = rows.shape[1]
    room = 1024
    slots = np.full(2 * room, -1, np.int64)
    keys, sums = np.empty((room, n_words), np.uint64), np.empty(room, np.complex128)
    work = np.empty(n_words, np.uint64)
    used = 0
    for row in range(rows.shape[0]):
        if psi[row] == 0:
            continue
        for t in range(values.shape[0]):
            a, b = creators[t], annihilators[t]
            work[:] = rows[row]
            odd = np.uint64(0)
            if b >= 0:
                if not _filled(work, single[b]):
                    continue
                odd ^= _odd(work, below[b])
                for w in range(n_words):
                    work[w] ^= single[b, w]
            if a >= 0:
                if _filled(work, single[a]):
                    continue
                odd ^= _odd(work, below[a])
                for w in range(n_words):
                    work[w] ^= single[a, w]
            amplitude = values[t] * psi[row]
            if odd:
                amplitude = -amplitude
            position = find(slots, keys, work, hash_words(work))
            if position >= 0:
                sums[position] += amplitude
                continue
            keys[used] = work
            sums[used] = amplitude
            slots[-1 - position] = used
            used += 1
            if used == room:
                room *= 2
                keys, sums = grown(keys, used, room), grown(sums, used, room)
                slots = np.full(2 * room, -1, np.int64)
                fill(slots, keys, used)
    return keys[:used].copy(), sums[:used].copy()
