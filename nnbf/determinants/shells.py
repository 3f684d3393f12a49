"""Families of determinants: all that have the same electrons in every shell of degenerate orbitals.

A list that is made of whole families is closed under total spin and under the full point group, not only its
Abelian subgroup: eigenvectors of H on it have S^2 and irreps exactly, and degenerate ones the same energy.
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np

from nnbf.determinants.configurations import WORD_BITS, unpack_occupations, words_per_spin


class Families:
    """Shells of orbitals, and the families that determinants of so many electrons belong to."""

    def __init__(self, shells: np.ndarray, irreps: np.ndarray, particles: tuple[int, int]):
        """Number the shells.

        Args:
            shells: (M,) shell of every orbital, from 0.
            irreps: (M,) XOR codes of the orbitals.
            particles: Alpha and beta electrons.
        """
        self.n_orbitals = len(shells)
        self._orbitals = [np.flatnonzero(shells == shell).tolist() for shell in range(shells.max() + 1)]
        self._irreps, self._particles = np.asarray(irreps, np.int64), particles
        self._indicator = (shells[:, None] == np.arange(len(self._orbitals))).astype(np.float32)
        self._factors = np.random.default_rng(0).integers(1, 2**62, size=len(self._orbitals), dtype=np.uint64)
        self._filled: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
        self._sizes: dict[tuple[tuple[int, int], ...], int] = {}

    @property
    def n_shells(self) -> int:
        """Number of shells."""
        return len(self._orbitals)

    def occupations(self, determinants: np.ndarray) -> np.ndarray:
        """Electrons in every shell, (n, shells)."""
        both = unpack_occupations(determinants, self.n_orbitals)
        charges = (both[:, : self.n_orbitals] + both[:, self.n_orbitals :]).astype(np.float32)
        return (charges @ self._indicator).astype(np.uint64)

    def keys(self, determinants: np.ndarray, at_once: int = 200_000) -> np.ndarray:
        """Numbers (n,) that are the same for determinants of one family, and differ else (uint64)."""
        parts = [
            (self.occupations(determinants[lo : lo + at_once]) * self._factors).sum(axis=1, dtype=np.uint64)
            for lo in range(0, len(determinants), at_once)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.uint64)

    def size(self, occupation: Sequence[int]) -> int:
        """Determinants of the family with so many electrons in each shell, of all irreps together."""
        widths = [len(orbitals) for orbitals in self._orbitals]
        pairs = [(width, n) for width, n in zip(widths, occupation, strict=True) if 0 < n < 2 * width]
        full = sum(n // 2 for width, n in zip(widths, occupation, strict=True) if n == 2 * width)
        kind = (*sorted(pairs), (0, full))
        if kind not in self._sizes:
            counts = {full: 1}
            for width, electrons in kind[:-1]:
                new: dict[int, int] = {}
                for n in range(max(0, electrons - width), min(electrons, width) + 1):
                    ways = comb(width, n) * comb(width, electrons - n)
                    for known, number in counts.items():
                        new[known + n] = new.get(known + n, 0) + number * ways
                counts = new
            self._sizes[kind] = counts.get(self._particles[0], 0)
        return self._sizes[kind]

    def members(self, occupation: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """All determinants (n, 2 W) of a family, and their irrep codes (n,)."""
        found = [(0, 0, 0, 0)]
        for shell, electrons in enumerate(occupation):
            if electrons == 0:
                continue
            fillings = self._fillings(shell, int(electrons))
            found = [
                (a | alpha, b | beta, n + more, code ^ own)
                for a, b, n, code in found
                for alpha, beta, more, own in fillings
                if n + more <= self._particles[0]
            ]
        kept = [item for item in found if item[2] == self._particles[0]]
        words = words_per_spin(self.n_orbitals)
        strings = np.array(
            [[part >> (WORD_BITS * w) & (2**WORD_BITS - 1) for part in item[:2] for w in range(words)]
             for item in kept],
            dtype=np.uint64,
        )  # fmt: skip
        return strings.reshape(-1, 2 * words), np.array([item[3] for item in kept], np.int64)

    def _fillings(self, shell, electrons):
        """(alpha string, beta string, alpha electrons, irrep) of all ways to fill a shell."""
        if (shell, electrons) not in self._filled:
            orbitals = self._orbitals[shell]
            strings = [
                [(sum(1 << p for p in chosen), self._code(chosen)) for chosen in combinations(orbitals, n)]
                for n in range(len(orbitals) + 1)
            ]
            self._filled[shell, electrons] = [
                (alpha, beta, n, left ^ right)
                for n in range(max(0, electrons - len(orbitals)), min(electrons, len(orbitals)) + 1)
                for alpha, left in strings[n]
                for beta, right in strings[electrons - n]
            ]
        return self._filled[shell, electrons]

    def _code(self, orbitals):
        return int(np.bitwise_xor.reduce(self._irreps[list(orbitals)], initial=0))
