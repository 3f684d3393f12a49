"""Slow, obvious oracles for lattice states: determinants column by column, projections term by term."""

from itertools import combinations, product

import jax
import numpy as np

from nnbf.ansatz.equivariant import EquivariantBackflow
from nnbf.ansatz.projection import SymmetryElements


def elements(sector) -> SymmetryElements:
    """What projects on a sector of `hamiltonians.space_group`."""
    return SymmetryElements.from_arrays(sector.permutations, sector.phases, sector.weights, sector.spin_flips)


def all_configurations(n_sites, particles) -> np.ndarray:
    """Occupations (n, modes) of all configurations."""
    blocks = []
    for number in particles:
        block = []
        for occupied in combinations(range(n_sites), number):
            block.append([1.0 if i in occupied else 0.0 for i in range(n_sites)])
        blocks.append(block)
    return np.array([np.concatenate(rows) for rows in product(*blocks)])


def parity(sequence) -> int:
    """Sign of the permutation that sorts a sequence, by bubble sort."""
    items, sign = list(sequence), 1
    for end in range(len(items), 0, -1):
        for i in range(end - 1):
            if items[i] > items[i + 1]:
                items[i], items[i + 1] = items[i + 1], items[i]
                sign = -sign
    return sign


def with_random_parameters(module, x, seed=0):
    """Parameters of a module, all of them random: also those that start at zero."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), x[:1])
    leaves, tree = jax.tree.flatten(shapes)
    rng = np.random.default_rng(seed)

    def draw(leaf):
        values = 0.4 * rng.normal(size=(*leaf.shape, 2))
        return (values[..., 0] + 1j * values[..., 1]) if leaf.dtype.kind == "c" else values[..., 0]

    return jax.tree.unflatten(tree, [draw(leaf).astype(leaf.dtype) for leaf in leaves])


def explicit_projection(x, psi, symmetry: SymmetryElements, n_sites) -> np.ndarray:
    """sum_g w_g g psi on all configurations x: particles moved, re-sorted and counted one by one."""
    rank = {row.astype(int).tobytes(): i for i, row in enumerate(x)}
    result = np.zeros(len(x), dtype=complex)
    arrays = (symmetry.permutations, symmetry.phases, symmetry.weights, symmetry.spin_flips)
    for permutation, phases, weight, flip in zip(*(np.asarray(a) for a in arrays), strict=True):
        for row, amplitude in zip(x, psi, strict=True):
            factor, blocks = weight, []
            for block in row.reshape(-1, n_sites):
                moved = [permutation[i] for i in np.flatnonzero(block)]
                factor = factor * parity(moved) * np.prod([phases[i] for i in np.flatnonzero(block)])
                blocks.append([1 if i in moved else 0 for i in range(n_sites)])
            if flip:
                blocks = blocks[::-1]
            result[rank[np.concatenate(blocks).tobytes()]] += factor * amplitude
    return result


def network_by_hand(model: EquivariantBackflow, params, x) -> np.ndarray:
    """Outputs (n, n_sites, channels) of the network, with convolutions as loops over cells and offsets."""
    (l1, l2), n_spins = model.size, model.n_spins
    n_basis = model.n_sites // (l1 * l2)
    cells = np.moveaxis(x.reshape(len(x), n_spins, l1, l2, n_basis), 1, 3).reshape(len(x), l1, l2, -1)

    def activation(z):
        silu = lambda y: y / (1 + np.exp(-y))  # noqa: E731
        return silu(z.real) + 1j * silu(z.imag) if np.iscomplexobj(z) else silu(z)

    def convolution(z, layer):
        (k1, k2), n_in = model.kernel, z.shape[-1]
        kernel = layer["kernel"].reshape(k1, k2, n_in, -1)
        out = np.zeros((*z.shape[:3], kernel.shape[-1]), dtype=kernel.dtype) + layer["bias"]
        for a, b, da, db in product(range(l1), range(l2), range(k1), range(k2)):
            s, t = a + da - k1 // 2, b + db - k2 // 2
            if (model.periodic[0] or 0 <= s < l1) and (model.periodic[1] or 0 <= t < l2):
                out[:, a, b] += z[:, s % l1, t % l2] @ kernel[da, db]
        return out

    layers = jax.tree.map(np.asarray, params["network"])
    z = convolution(2 * cells - 1, layers["convolution_0"])
    for k in range(1, model.depth):
        z = z + convolution(activation(z), layers[f"convolution_{k}"])
    out = activation(z) @ layers["output"]["kernel"] + layers["output"]["bias"]
    return out.reshape(len(x), model.n_sites, -1)
