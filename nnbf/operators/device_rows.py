r"""Rows of Hamiltonians inside jit, on packed words: every excitation of a configuration has a fixed slot.

Signs of Slater-Condon elements factorise. With :math:`s_p = (-1)^{\text{electrons below } p}` and
:math:`t_{ia} = -1` for i < a, else 1, a single excitation has the sign :math:`s_i s_a t_{ia}`, one of two
electrons of the same spin (i < j, a < b) the sign :math:`-s_i s_j s_a s_b t_{ia} t_{ib} t_{ja} t_{jb}`.
Tables carry the factors t, and the elements of a configuration are a block of a table times two vectors of
signs.
"""

from typing import Any, Protocol

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from nnbf.determinants import IntegralTables
from nnbf.operators.device_words import masks, unpacked


class DeviceRows(Protocol):
    """Rows of a Hamiltonian inside jit, a pytree."""

    @property
    def n_slots(self) -> int:
        """Elements of a row, those that are zero included; the diagonal is the first."""

    @property
    def n_blocks(self) -> int:
        """Blocks of modes with words of their own: 2 where each spin has its own, else 1."""

    @property
    def n_modes(self) -> int:
        """Modes."""

    @property
    def threshold(self) -> Any:
        """Elements off the diagonal below this are left out."""

    def __call__(self, words: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Elements (n, slots) and words (W, n, slots) that configurations (W, n) are connected with."""


@flax.struct.dataclass
class MolecularRows:
    """Those of a molecule: determinants with so many electrons of each spin."""

    constant: jax.Array
    """Hartree."""
    one_body: jax.Array
    """(2, M, M)."""
    same_single: jax.Array
    """(2, M, M, M), as in :class:`~nnbf.determinants.IntegralTables`."""
    other_single: jax.Array
    """(2, M, M, M)."""
    same_double: jax.Array
    """(1 or 2, P, P) by pairs i < j that are emptied and a < b that are filled: elements but for s."""
    mixed: jax.Array
    """(pairs, pairs): (ia alpha | jb beta)."""
    threshold: jax.Array
    """Elements off the diagonal below this (Hartree) are left out."""
    n_orbitals: int = flax.struct.field(pytree_node=False)
    particles: tuple[int, int] = flax.struct.field(pytree_node=False)

    @classmethod
    def of(cls, integrals: Any, tables: IntegralTables, threshold: float) -> "MolecularRows":
        """Those of ``hamiltonians.MolecularIntegrals``, with the host's tables of the same."""
        two_body = np.asarray(integrals.two_body)
        same, mixed = (two_body[None], two_body) if two_body.ndim == 2 else (two_body[[0, 2]], two_body[1])
        with jax.ensure_compile_time_eval():
            return cls(
                constant=jnp.asarray(tables.constant),
                one_body=jnp.asarray(tables.one_body),
                same_single=jnp.asarray(tables.same_single),
                other_single=jnp.asarray(tables.other_single),
                same_double=jnp.stack([_signed_doubles(block, integrals.n_orbitals) for block in same]),
                mixed=jnp.asarray(mixed),
                threshold=jnp.asarray(threshold),
                n_orbitals=integrals.n_orbitals,
                particles=(integrals.n_alpha, integrals.n_beta),
            )

    n_blocks = 2

    @property
    def n_modes(self) -> int:
        """Spin orbitals."""
        return 2 * self.n_orbitals

    @property
    def n_slots(self) -> int:
        """All singles and doubles."""
        m = self.n_orbitals
        singles = [n * (m - n) for n in self.particles]
        doubles = [n * (n - 1) // 2 * ((m - n) * (m - n - 1) // 2) for n in self.particles]
        return 1 + sum(singles) + sum(doubles) + singles[0] * singles[1]

    def __call__(self, words: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See :class:`DeviceRows`."""
        m, n = self.n_orbitals, words.shape[1]
        bits = unpacked(words, 2 * m, 2).reshape(n, 2, m)
        filled = bits.astype(jnp.float64)
        spins = [_Spin(bits[:, s], self.particles[s], s, len(words)) for s in (0, 1)]
        elements = [self._diagonal(filled)[:, None]]
        masks_of = [jnp.zeros((len(words), n, 1), jnp.uint64)]
        for s, spin in enumerate(spins):
            field = (
                self.one_body[s].ravel()
                + filled[:, s] @ self.same_single[s].reshape(m * m, m).T
                + filled[:, 1 - s] @ self.other_single[s].reshape(m * m, m).T
            )
            values = jnp.take_along_axis(field, spin.singles, axis=1)
            elements.append(values * spin.sign_of_single)
            masks_of.append(spin.mask_of_single)
            table = self.same_double[min(s, len(self.same_double) - 1)]
            elements.append(_block(table, *spin.pairs) * _products(*spin.sign_of_pairs))
            masks_of.append(_xor(*spin.mask_of_pairs))
        alpha, beta = spins
        values = _block(self.mixed, alpha.places, beta.places)
        elements.append(values * _products(alpha.sign_of_single, beta.sign_of_single))
        masks_of.append(_xor(alpha.mask_of_single, beta.mask_of_single))
        return jnp.concatenate(elements, axis=1), words[:, :, None] ^ jnp.concatenate(masks_of, axis=2)

    def _diagonal(self, filled):
        alpha, beta = filled[:, 0], filled[:, 1]
        energy = self.constant + jnp.einsum("nsi,sii->n", filled, self.one_body)
        same = jnp.einsum("siik->sik", self.same_single)
        energy = energy + 0.5 * jnp.einsum("nsi,sik,nsk->n", filled, same, filled)
        return energy + jnp.einsum("ni,ik,nk->n", alpha, jnp.einsum("iik->ik", self.other_single[0]), beta)


class _Spin:
    """Moves of the electrons of one spin."""

    def __init__(self, bits, count, spin, n_words):
        m = bits.shape[1]
        occupied, empty = _places(bits, count), _places(~bits, m - count)
        below = jnp.cumsum(bits, axis=1, dtype=jnp.int32) - bits
        sign = 1.0 - 2.0 * (below & 1)
        of_orbital = np.zeros((n_words, m), np.uint64)
        half = n_words // 2
        of_orbital[spin * half : (spin + 1) * half] = masks(np.arange(m), half)
        mask = jnp.asarray(of_orbital)
        signs, moves = [], []
        for places in (occupied, empty):
            signs.append(jnp.take_along_axis(sign, places, axis=1))
            moves.append(mask[:, places])
        i, a = occupied[:, :, None], empty[:, None, :]
        self.singles = _flat(i * m + a)
        high, low = jnp.maximum(i, a), jnp.minimum(i, a)
        self.places = _flat(high * (high + 1) // 2 + low)
        passed = 1.0 - 2.0 * (i < a)
        self.sign_of_single = _flat(signs[0][:, :, None] * signs[1][:, None, :] * passed)
        self.mask_of_single = _xor(*moves)
        self.pairs, self.sign_of_pairs, self.mask_of_pairs = [], [], []
        for places, sign_of, move in zip((occupied, empty), signs, moves, strict=True):
            first, second = np.triu_indices(places.shape[1], 1)
            high = places[:, second]
            self.pairs.append(high * (high - 1) // 2 + places[:, first])
            self.sign_of_pairs.append(sign_of[:, first] * sign_of[:, second])
            self.mask_of_pairs.append(move[..., first] ^ move[..., second])


def _places(bits, count):
    """Ascending places (n, count) of the bits that are set."""
    running = jnp.cumsum(bits, axis=1, dtype=jnp.int32)
    return jnp.sum(running[:, :, None] <= jnp.arange(count), axis=1, dtype=jnp.int32)


def _flat(blocks):
    return blocks.reshape(len(blocks), -1)


def _products(rows, columns):
    return _flat(rows[:, :, None] * columns[:, None, :])


def _xor(rows, columns):
    both = rows[..., :, None] ^ columns[..., None, :]
    return both.reshape(*both.shape[:2], -1)


def _block(table, rows, columns):
    """Elements (n, k) of a table in the given rows and columns (n, ...) of it."""
    place = rows[:, :, None] * table.shape[1] + columns[:, None, :]
    return jnp.take(table.ravel(), _flat(place), mode="clip")


def _signed_doubles(block, m):
    """(P, P) of :class:`MolecularRows` from (pq|rs) of one spin, (pairs, pairs)."""
    low, high = np.tril_indices(m, -1)[::-1]
    place = np.arange(m)
    top, bottom = np.maximum(place[:, None], place), np.minimum(place[:, None], place)
    pair = top * (top + 1) // 2 + bottom
    direct = block[pair[low[:, None], low], pair[high[:, None], high]]
    exchange = block[pair[high[:, None], low], pair[low[:, None], high]]
    passed = np.where(place[:, None] < place, -1.0, 1.0)
    signs = -passed[low[:, None], low] * passed[low[:, None], high]
    signs *= passed[high[:, None], low] * passed[high[:, None], high]
    return (direct - exchange) * signs


@flax.struct.dataclass
class LatticeRows:
    """Those of a lattice: hops between modes."""

    mode_of: jax.Array
    """(2, H): where every hop leads, and where it comes from."""
    amplitudes: jax.Array
    """(H,)."""
    moves: jax.Array
    """(W, H): bits that it changes."""
    between: jax.Array
    """(W, H): modes that it passes."""
    repulsion: jax.Array
    """(sites, sites)."""
    levels: jax.Array
    """(sites,)."""
    on_site: jax.Array
    """U, 0 without spin."""
    n_spins: int = flax.struct.field(pytree_node=False)

    @classmethod
    def of(cls, hops: tuple[np.ndarray, np.ndarray], levels: np.ndarray, model: Any) -> "LatticeRows":
        """Those of a lattice model, from sites (H, 2) and amplitudes of its hops and levels of its sites."""
        sites, values = hops
        n_spins, n_sites = len(model.particles), model.n_sites
        modes = np.concatenate([sites.reshape(-1, 2) + s * n_sites for s in range(n_spins)]).astype(int).T
        n_words = max(1, -(-n_spins * n_sites // 64))
        every = np.arange(n_spins * n_sites)
        low, high = modes.min(axis=0), modes.max(axis=0)
        inside = (every[:, None] > low) & (every[:, None] < high)
        of_mode = masks(every, n_words)
        between = np.bitwise_or.reduce(np.where(inside, of_mode[:, :, None], np.uint64(0)), axis=1)
        with jax.ensure_compile_time_eval():
            return cls(
                mode_of=jnp.asarray(modes),
                amplitudes=jnp.asarray(np.tile(values, n_spins)),
                moves=jnp.asarray(of_mode[:, modes[0]] ^ of_mode[:, modes[1]]),
                between=jnp.asarray(between),
                repulsion=jnp.asarray(model.repulsion, float),
                levels=jnp.asarray(levels, float),
                on_site=jnp.asarray(float(model.U) * model.is_spinful),
                n_spins=n_spins,
            )

    n_blocks = 1
    threshold = 0.0

    @property
    def n_modes(self) -> int:
        """Modes of all spins."""
        return self.n_spins * self.levels.shape[0]

    @property
    def n_slots(self) -> int:
        """All hops."""
        return 1 + self.amplitudes.shape[0]

    def __call__(self, words: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See :class:`DeviceRows`."""
        bits = unpacked(words, self.n_modes, 1)
        target, source = self.mode_of
        passed = jax.lax.population_count(words[:, :, None] & self.between[:, None, :]).sum(axis=0) & 1
        values = self.amplitudes * (1.0 - 2.0 * passed)
        values = jnp.where(bits[:, source] & ~bits[:, target], values, 0.0)
        elements = jnp.concatenate([self._diagonal(bits)[:, None].astype(values.dtype), values], axis=1)
        moved = words[:, :, None] ^ self.moves[:, None, :]
        return elements, jnp.concatenate([words[:, :, None], moved], axis=2)

    def _diagonal(self, bits):
        blocks = bits.reshape(len(bits), self.n_spins, -1).astype(jnp.float64)
        total = blocks.sum(axis=1)
        energy = 0.5 * jnp.sum((total @ self.repulsion) * total, axis=1) + total @ self.levels
        return energy + self.on_site * jnp.sum(blocks[:, 0] * blocks[:, -1], axis=1)
