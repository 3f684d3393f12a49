r"""Weights of a dense network that operations of a group relate: the network commutes with the group.

For layers x -> W x + b between spaces that a group acts on, only the part

.. math:: PW = \frac1{|G|} \sum_g \rho_{out}(g)\, W \rho_{in}(g)^T, \qquad
    Pb = \frac1{|G|} \sum_g \rho_{out}(g)\, b

is used, whatever the parameters W and b: the operations are orthogonal, so that derivatives are those with
respect to PW and Pb, projected in the same way. A pass costs no more than without. One sample stands for all
its images: with |G| operations the samples of a step say as much as |G| times as many.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nnbf.ansatz.symmetry import SymmetryElements


class Shuffle:
    """Operations that permute units."""

    def __init__(self, images: np.ndarray):
        """Unit i goes to unit ``images[g, i]``, (G, width)."""
        self._sources = np.argsort(images, axis=1)

    def each(self, x: jax.Array) -> jax.Array:
        """Every operation on its own vector, (..., G, width)."""
        return x[..., np.arange(len(self._sources))[:, None], self._sources]


class OrbitalRotation:
    r"""Operations on matrices of orbitals, :math:`\Phi \to S_g \Phi\, U_g`, alpha and beta exchanged or not.

    S moves and signs the rows. U takes the orbitals of a determinant back to themselves: the network starts
    from an invariant one.
    """

    def __init__(
        self, symmetry: SymmetryElements, orbitals: tuple[np.ndarray, np.ndarray], n_determinants: int
    ):
        """Take operations and the orthonormal orbitals (M, N_s) of each spin that they leave invariant."""
        images, signs = np.asarray(symmetry.permutations), np.asarray(symmetry.phases)
        self._flips = np.asarray(symmetry.spin_flips)
        self._sources = np.argsort(images, axis=1)
        self._signs = np.take_along_axis(signs, self._sources, axis=1)
        self._columns = [of_spin.shape[1] for of_spin in orbitals]
        self._n_determinants = n_determinants
        self.turns = []
        for spin in (0, 1):
            turns = []
            for g, flip in enumerate(self._flips):
                before = orbitals[1 - spin if flip else spin]
                # S^T times the orbitals that come out.
                back = orbitals[spin][images[g]] * signs[g][:, None]
                turns.append(before.T @ back)
            self.turns.append(np.array(turns))

    def each(self, x: jax.Array) -> jax.Array:
        """Every operation on its own vector, (..., G, D * M * (N_alpha + N_beta))."""
        count, m = self._sources.shape
        head = x.shape[:-2]
        x = x.reshape(*head, count, self._n_determinants, -1)
        blocks = jnp.split(x, [m * self._columns[0]], axis=-1)
        blocks = [b.reshape(*b.shape[:-1], m, n) for b, n in zip(blocks, self._columns, strict=True)]
        if self._flips.any():
            flips = self._flips[:, None, None, None]
            blocks = [jnp.where(flips, blocks[1 - spin], blocks[spin]) for spin in (0, 1)]
        done = []
        for block, turns in zip(blocks, self.turns, strict=True):
            one = jax.vmap(_moved, in_axes=(-4, 0, 0, 0), out_axes=-4)
            moved = one(block, self._sources, self._signs, turns)
            done.append(moved.reshape(*head, count, self._n_determinants, -1))
        return jnp.concatenate(done, axis=-1).reshape(*head, count, -1)


def _moved(matrices, sources, signs, turn):
    """One operation on matrices (..., M, N)."""
    return (matrices[..., sources, :] * signs[:, None]) @ turn


@dataclass(frozen=True, eq=False)
class Tie:
    """How the weights of one layer are related."""

    inputs: Any
    """Operations on what the layer takes."""
    outputs: Any
    """Operations on what it gives."""
    count: int
    """|G|."""

    def kernel(self, kernel: jax.Array) -> jax.Array:
        """The part (in, out) of a kernel that is used."""
        images = self.inputs.each(self._copied(kernel.T))
        return jnp.mean(self.outputs.each(jnp.swapaxes(images, 0, -1)), axis=-2)

    def bias(self, bias: jax.Array) -> jax.Array:
        """The part (out,) of a bias that is used."""
        return jnp.mean(self.outputs.each(self._copied(bias)), axis=-2)

    def orbits(self, inputs: jax.Array, errors: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Factors of derivatives by the parameters from those by the part that is used.

        Args:
            inputs: (n, applications, in).
            errors: (n, applications, out).

        Returns:
            The same with |G| times as many applications.
        """
        images = self.inputs.each(self._copied(inputs)), self.outputs.each(self._copied(errors)) / self.count
        return tuple(image.reshape(len(image), -1, image.shape[-1]) for image in images)

    def _copied(self, x):
        return jnp.broadcast_to(x[..., None, :], (*x.shape[:-1], self.count, x.shape[-1]))


class TiedDense(nn.Dense):
    """A dense layer whose weights are tied."""

    tie: Tie | None = None
    """How."""

    @nn.nowrap
    def param(self, name: str, init_fn: Any, *init_args: Any, **init_kwargs: Any) -> Any:
        """The part of a parameter that is used."""
        value = super().param(name, init_fn, *init_args, **init_kwargs)
        if self.tie is None:
            return value
        return self.tie.kernel(value) if name == "kernel" else self.tie.bias(value)


@lru_cache(maxsize=8)
def layer_ties(
    symmetry: SymmetryElements,
    orbitals: tuple[Any, Any],
    hidden: tuple[int, ...],
    n_determinants: int,
    by_charge: bool,
) -> tuple[Tie, ...]:
    """Ties of the layers of molecular backflow, the last one that of its orbitals.

    Hidden units are copies of the group itself: their number is a multiple of its order.

    Args:
        symmetry: Operations that leave the orbitals invariant.
        orbitals: Orthonormal alpha and beta orbitals (M, N_s) that the network starts from.
        hidden: Widths.
        n_determinants: Determinants, each with outputs of its own.
        by_charge: The network sees two numbers for every orbital; else every spin orbital.
    """
    images = np.asarray(symmetry.permutations)
    flips = np.asarray(symmetry.spin_flips)[:, None]
    count, m = images.shape
    if by_charge:
        features = np.concatenate([images, images + m], axis=1)
    else:
        features = np.concatenate(
            [np.where(flips, images + m, images), np.where(flips, images, images + m)], 1
        )
    product = np.argmax(np.all(images[:, images][:, :, None] == images[None, None], axis=-1), axis=-1)
    units = [
        (np.arange(width // count)[:, None] * count + product[:, None, :]).reshape(count, width)
        for width in hidden
    ]
    shuffles = [Shuffle(images) for images in (features, *units)]
    alpha, beta = (np.asarray(of_spin) for of_spin in orbitals)
    last = OrbitalRotation(symmetry, (alpha, beta), n_determinants)
    return tuple(Tie(*pair, count) for pair in zip(shuffles, [*shuffles[1:], last], strict=True))


def tied_width(width: int, symmetry: SymmetryElements | None) -> int:
    """Width of a hidden layer: as asked for, rounded up to a multiple of the operations."""
    count = 1 if symmetry is None else len(symmetry)
    return -(-width // count) * count


def operations_of(
    orbitals: tuple[np.ndarray, np.ndarray], images: np.ndarray, signs: np.ndarray
) -> SymmetryElements | None:
    """Operations that leave a determinant invariant, some of them with alpha and beta exchanged.

    None of them changes signs alone: such ones would fix how many electrons are in which orbitals.

    Args:
        orbitals: Orthonormal alpha and beta orbitals (M, N_s).
        images: (G, M) orbital that each becomes, the identity first.
        signs: (G, M) its sign.

    Returns:
        A group, its weights those of the projector on the irrep of the determinant; None for the identity
        alone.
    """
    found: dict[bytes, tuple[np.ndarray, np.ndarray, bool, float]] = {}
    for image, sign in zip(images, signs, strict=True):
        for flip in (False, True):
            character = _character(orbitals, image, sign, flip)
            if character is not None:
                found[_key(image, sign)] = (image, sign, flip, character)
                break
    group = [next(iter(found.values()))[:2]] if found else []
    for image, sign, *_ in found.values():
        if not any(np.array_equal(image, known) for known, _ in group):
            group = _generated([*group, (image, sign)]) or group
    elements = [found[_key(*one)] for one in group if _key(*one) in found]
    if len(elements) < 2 or len(elements) < len(group):
        return None
    columns = [np.array([one[k] for one in elements]) for k in range(4)]
    return SymmetryElements.from_arrays(columns[0], columns[1], columns[3] / len(elements), columns[2])


def invariant_orbitals(
    symmetry: SymmetryElements, orbitals: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Orbitals of a determinant that operations leave invariant to the last digit, next to the given ones."""
    images, signs = np.asarray(symmetry.permutations), np.asarray(symmetry.phases)
    densities = [of_spin @ of_spin.T for of_spin in orbitals]
    done = []
    for spin, of_spin in enumerate(orbitals):
        total = np.zeros_like(densities[spin])
        for image, sign, flip in zip(images, signs, np.asarray(symmetry.spin_flips), strict=True):
            total[np.ix_(image, image)] += densities[1 - spin if flip else spin] * sign[:, None] * sign
        density = total / len(images)
        for _ in range(4):
            density = 3.0 * density @ density - 2.0 * density @ density @ density
        left, _, right = np.linalg.svd(density @ of_spin, full_matrices=False)
        done.append(left @ right)
    return done[0], done[1]


#: Deviation from 1 of the overlap of a determinant with its image, up to which they are the same.
_SAME = 1e-6


def _character(orbitals, image, sign, flip):
    """Overlap 1 or -1 of a determinant with its image, or None."""
    if flip and orbitals[0].shape != orbitals[1].shape:
        return None
    total = 1.0
    for spin in (0, 1):
        before = orbitals[1 - spin if flip else spin]
        overlap = np.linalg.det(before.T @ (orbitals[spin][image] * sign[:, None]))
        if abs(abs(overlap) - 1.0) > _SAME:
            return None
        total *= float(np.sign(overlap))
    return total


def _key(image, sign):
    """Name of an operation, a common sign left out."""
    return np.asarray(image).tobytes() + (sign * sign[0] > 0).tobytes()


def _generated(elements):
    """The group of some operations; None where two of it differ in signs alone."""
    group = {_key(*one): one for one in elements}
    waiting = list(group.values())
    while waiting:
        image, sign = waiting.pop()
        for other_image, other_sign in list(group.values()):
            one = image[other_image], other_sign * sign[other_image]
            if _key(*one) not in group:
                group[_key(*one)] = one
                waiting.append(one)
                if len({bytes(known) for known, _ in group.values()}) < len(group):
                    return None
    return list(group.values())
