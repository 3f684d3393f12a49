"""Slater-Condon connections inside jit: padded to a fixed number, as NetKet's jax operators have them.

Every excitation of every occupied orbital into every empty one has a fixed place, so that nothing is
wasted on padding; elements that vanish by symmetry are zeros. The compiled host kernels of
``nnbf.determinants`` skip those, and are what local energies use outside jit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class PaddedIntegrals(NamedTuple):
    """Integrals as jax arrays (the operator's leaves)."""

    constant: jax.Array
    """Nuclear repulsion plus frozen core, Hartree; a scalar."""
    one_body: jax.Array
    """(2, M, M), alpha then beta."""
    same: jax.Array
    """(1 or 2, npair, npair): (pq|rs) of electrons of the same spin, one block where both spins share it."""
    mixed: jax.Array
    """(npair, npair): (pq alpha | rs beta)."""


def padded_integrals(integrals) -> PaddedIntegrals:
    """Arrange ``hamiltonians.MolecularIntegrals`` for the padded kernel."""
    one_body = np.asarray(integrals.one_body)
    if one_body.ndim == 2:
        one_body = np.stack([one_body, one_body])
    two_body = np.asarray(integrals.two_body)
    same, mixed = (two_body[None], two_body) if two_body.ndim == 2 else (two_body[[0, 2]], two_body[1])
    return PaddedIntegrals(*(jnp.asarray(array) for array in (integrals.constant, one_body, same, mixed)))


def padded_connections(
    data: PaddedIntegrals, x: jax.Array, n_alpha: int, n_beta: int, threshold: float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """All connections of one configuration, itself first.

    Args:
        data: Integrals.
        x: Occupations (2M,) of zeros and ones, alpha block first.
        n_alpha: Alpha electrons.
        n_beta: Beta electrons.
        threshold: Off-diagonal elements below this magnitude (Hartree) become zeros.

    Returns:
        Configurations (K, 2M) of x's type and matrix elements (K,), Hartree, with K one more than
        ``nnbf.determinants.max_connections``. Where the element is zero the configuration is valid, too.
    """
    m = x.shape[-1] // 2
    spins = [_Spin(x[s * m : (s + 1) * m], n, m) for s, n in enumerate((n_alpha, n_beta))]
    orbitals = jnp.arange(m)
    diagonal_pairs = _pair(orbitals, orbitals)
    moved, elements = [], []

    density = [spin.filled for spin in spins]
    energy = data.constant
    for s, spin in enumerate(spins):
        same, mixed = data.same[min(s, len(data.same) - 1)], data.mixed if s == 0 else data.mixed.T
        # Mean field of the other electrons: the whole single excitation in one sum.
        exchange = same[_pair(orbitals[:, None], orbitals)[:, None, :], _pair(orbitals[:, None], orbitals)]
        field = _unpacked(same[:, diagonal_pairs] @ density[s], m) - exchange @ density[s]
        field = field + _unpacked(mixed[:, diagonal_pairs] @ density[1 - s], m)
        own = jnp.diag(data.one_body[s]) * density[s]
        energy = energy + jnp.sum(own) + 0.5 * jnp.sum(jnp.diag(field) * density[s])
        i, a = spin.singles
        # The electron does not feel itself: (ia|ii) - (ii|ia) = 0 cancels in the sum over all occupied.
        values = data.one_body[s][i, a] + field[i, a]
        moved.append([(s, i, a)])
        elements.append(values * spin.sign_of_single(i, a))

        (i, j), (a, b) = spin.doubles
        values = same[_pair(a, i), _pair(b, j)] - same[_pair(a, j), _pair(b, i)]
        moved.append([(s, i, a), (s, j, b)])
        elements.append(values * spin.sign_of_double(i, j, a, b))
    (i, a), (j, b) = spins[0].singles, spins[1].singles
    i, a, j, b = (
        jnp.broadcast_to(part, (len(i), len(j))).ravel()
        for part in (i[:, None], a[:, None], j[None], b[None])
    )
    moved.append([(0, i, a), (1, j, b)])
    signs = spins[0].sign_of_single(i, a) * spins[1].sign_of_single(j, b)
    elements.append(data.mixed[_pair(a, i), _pair(b, j)] * signs)

    configurations = [x[None]]
    for moves, values in zip(moved, elements, strict=True):
        rows = jnp.arange(len(values))
        block = jnp.broadcast_to(x, (len(values), 2 * m))
        for s, source, target in moves:
            block = block.at[rows, s * m + source].set(0).at[rows, s * m + target].set(1)
        configurations.append(block)
    off_diagonal = jnp.concatenate(elements)
    if threshold > 0:
        off_diagonal = jnp.where(jnp.abs(off_diagonal) < threshold, 0.0, off_diagonal)
    return jnp.concatenate(configurations), jnp.concatenate([energy[None], off_diagonal])


class _Spin:
    """One spin's occupied and empty orbitals."""

    def __init__(self, occupations, count, m):
        filled = occupations > 0.5
        self.filled = filled.astype(float)
        order = jnp.argsort(~filled, stable=True)
        self.occupied, self.empty = order[:count], order[count:]
        below = jnp.cumsum(filled)
        self.below = jnp.concatenate([jnp.zeros(1, below.dtype), below])
        """Electrons in orbitals < p, (M + 1,)."""
        n, v = count, m - count
        self._pairs = np.triu_indices(n, 1), np.triu_indices(v, 1)

    @property
    def singles(self):
        n, v = len(self.occupied), len(self.empty)
        return jnp.repeat(self.occupied, v), jnp.tile(self.empty, n)

    @property
    def doubles(self):
        (low, high), (first, second) = self._pairs
        n, v = len(low), len(first)
        i, j = (jnp.repeat(self.occupied[k], v) for k in (low, high))
        a, b = (jnp.tile(self.empty[k], n) for k in (first, second))
        return (i, j), (a, b)

    def _between(self, p, q):
        # Electrons strictly between p and q.
        low, high = jnp.minimum(p, q), jnp.maximum(p, q)
        return self.below[high] - self.below[low + 1]

    def sign_of_single(self, i, a):
        return 1.0 - 2.0 * (self._between(i, a) % 2)

    def sign_of_double(self, i, j, a, b):
        # i -> a, then j -> b with i gone and a come.
        low, high = jnp.minimum(j, b), jnp.maximum(j, b)
        crossings = self._between(i, a) + self._between(j, b)
        crossings = crossings + ((low < i) & (i < high)) + ((low < a) & (a < high))
        return 1.0 - 2.0 * (crossings % 2)


def _pair(p, q):
    high, low = jnp.maximum(p, q), jnp.minimum(p, q)
    return high * (high + 1) // 2 + low


def _unpacked(triangle, m):
    orbitals = jnp.arange(m)
    return triangle[_pair(orbitals[:, None], orbitals)]
