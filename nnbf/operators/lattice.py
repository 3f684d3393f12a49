r"""Lattice Hamiltonians as NetKet operators, and S^2 on their configurations, up block first.

.. math:: S^2 = S_z (S_z + 1) + S_- S_+, \qquad
    S_- S_+ = \sum_{ij} c^\dagger_{i\downarrow} c_{i\uparrow} c^\dagger_{j\uparrow} c_{j\downarrow}

Its diagonal counts sites that hold a down particle alone; off the diagonal a site i with up alone and a
site j with down alone exchange spins, with minus the product of the signs of the hops i to j of the up and
j to i of the down particle, each within its own block.
"""

from functools import cached_property

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from hamiltonians.compiled import compiled
from hamiltonians.lattice.model import Lattice
from nnbf.operators.connections import Connections
from nnbf.operators.device_rows import LatticeRows
from nnbf.operators.hamiltonian import Hamiltonian


def lattice_hilbert(model: Lattice) -> nk.hilbert.AbstractHilbert:
    """NetKet's Hilbert space of a lattice model, up block first."""
    if model.is_spinful:
        return nk.hilbert.SpinOrbitalFermions(model.n_sites, s=1 / 2, n_fermions_per_spin=model.particles)
    return nk.hilbert.SpinOrbitalFermions(model.n_sites, n_fermions=model.n_particles)


class LatticeHamiltonian(Hamiltonian):
    r"""A lattice model on configurations of 0/1 occupations, up block first.

    .. math:: H = \sum_{ij\sigma} h_{ij} c^+_{i\sigma} c_{j\sigma} + \sum_{i<j} W_{ij} n_i n_j
        + U \sum_i n_{i\uparrow} n_{i\downarrow}

    Built in no time, works wherever NetKet takes a discrete jax operator. Local energies of an ``MCState``
    go through compiled code that lists only hops that can be made, and evaluates every distinct
    configuration once; inside jit, ``get_conn_padded`` is pure jax.
    """

    def __init__(self, model: Lattice):
        """Take the terms of a model."""
        super().__init__(lattice_hilbert(model))
        self._model = model

    @property
    def model(self) -> Lattice:
        """The model."""
        return self._model

    @property
    def dtype(self):
        """Type of the matrix elements: complex if a twist makes the hopping so."""
        return np.dtype(self._model.hopping.dtype)

    network_shapes = (256, 1.1)

    @property
    def n_sites(self) -> int:
        """Sites of the lattice."""
        return self._model.n_sites

    @property
    def n_particles(self) -> int:
        """Particles of both spins."""
        return self._model.n_particles

    @property
    def spin_flip_symmetric(self) -> bool:
        """With as many particles of both spins."""
        return self._model.is_spinful and len(set(self._model.particles)) == 1

    @cached_property
    def hops(self) -> tuple[np.ndarray, np.ndarray]:
        """Sites (K, 2), target before source, and elements (K,) <before|H|after> of the hops of one spin."""
        off_diagonal = np.array(self._model.hopping)
        np.fill_diagonal(off_diagonal, 0.0)
        sites = np.argwhere(off_diagonal)
        return sites, off_diagonal[sites[:, 0], sites[:, 1]].conj()

    @cached_property
    def levels(self) -> np.ndarray:
        """(n_sites,) energy of a particle at a site."""
        return np.array(np.real(np.diag(self._model.hopping)), dtype=float)

    @cached_property
    def max_conn_size(self) -> int:
        """Upper bound on the connections of one configuration, itself included."""
        sites, _ = self.hops
        n_sites = self._model.n_sites
        most = int(np.bincount(sites[:, 1], minlength=n_sites).max(initial=0))
        return 1 + sum(min(len(sites), most * min(n, n_sites - n)) for n in self._model.particles)

    def infinite_temperature_energy(self) -> float:
        """Mean of the diagonal over all configurations: E_inf of the V-score."""
        return self._model.infinite_temperature_energy

    def diagonal(self, rows: np.ndarray) -> np.ndarray:
        """Interaction energy (n,) of occupations (n, modes)."""
        return np.asarray(self._interaction(jnp.asarray(rows)))

    def _interaction(self, x):
        model = self._model
        blocks = x.reshape(*x.shape[:-1], -1, model.n_sites).astype(float)
        total = blocks.sum(-2)
        energy = 0.5 * jnp.einsum("...i,ij,...j->...", total, model.repulsion, total) + total @ self.levels
        return energy + model.U * jnp.sum(blocks[..., 0, :] * blocks[..., -1, :], -1) * model.is_spinful

    def connections(self, rows: np.ndarray, *, threshold: float = 0.0) -> Connections:
        """Rows of H on occupations (n, modes)."""
        model, (sites, amplitudes) = self._model, self.hops
        counts, connected, elements = _flat_connections(
            np.ascontiguousarray(rows, dtype=np.int8), sites, amplitudes, model.repulsion, self.levels,
            model.U, model.n_sites, self.max_conn_size,
        )  # fmt: skip
        return Connections.of_lists(counts, connected, elements)

    def device_rows(self) -> LatticeRows:
        """Rows inside jit, on packed configurations."""
        if "_device_rows" not in self.__dict__:
            self._device_rows = LatticeRows.of(self.hops, self.levels, self._model)
        return self._device_rows

    def get_conn_padded(self, x):
        """Connected configurations (..., C, modes) and elements (..., C); padding is x, with element 0."""
        rows = x.reshape(-1, x.shape[-1])
        connected, elements = jax.vmap(self._padded_row)(rows)
        shape = (*x.shape[:-1], self.max_conn_size)
        return connected.reshape(*shape, x.shape[-1]), elements.reshape(shape)

    def _padded_row(self, x):
        n_sites = self._model.n_sites
        sites, amplitudes = self.hops
        targets, sources, values = (
            np.concatenate([part + spin * shift for spin in range(len(self._model.particles))])
            for part, shift in ((sites[:, 0], n_sites), (sites[:, 1], n_sites), (amplitudes, 0))
        )
        possible = (x[sources] > 0.5) & (x[targets] < 0.5)
        (chosen,) = jnp.nonzero(possible, size=self.max_conn_size - 1, fill_value=len(values))
        real = chosen < len(values)
        chosen = jnp.minimum(chosen, max(len(values) - 1, 0))
        target, source = jnp.asarray(targets)[chosen], jnp.asarray(sources)[chosen]
        before = jnp.cumsum(x) - x
        between = before[jnp.maximum(target, source)] - before[jnp.minimum(target, source)]
        # The particle itself is counted where it moves up.
        between = between - (source < target)
        sign = 1.0 - 2.0 * (jnp.round(between).astype(int) % 2)
        moved = jax.vmap(lambda t, s: x.at[s].set(0).at[t].set(1))(target, source)
        moved = jnp.where(real[:, None], moved, x)
        elements = jnp.where(real, jnp.asarray(values)[chosen] * sign, 0.0)
        return (
            jnp.concatenate([x[None], moved]),
            jnp.concatenate([self._interaction(x)[None].astype(elements.dtype), elements]),
        )

    def tree_flatten(self):
        """No arrays: the model is static."""
        return (), self._model

    @classmethod
    def tree_unflatten(cls, model, children):
        """Return the operator of a model."""
        return cls(model)

    def __repr__(self):
        return f"LatticeHamiltonian({self._model})"


def spin_exchanges(occupations: np.ndarray, n_sites: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Off-diagonal part of S_- S_+ on configurations, up block first.

    Args:
        occupations: (n, 2 n_sites) of 0 and 1.
        n_sites: Sites.

    Returns:
        Rows (c,) of the configurations, what they become (c, 2 n_sites), matrix elements (c,), +1 or -1.
    """
    up, down = occupations[:, :n_sites].astype(np.int64), occupations[:, n_sites:].astype(np.int64)
    only_up, only_down = (up == 1) & (down == 0), (up == 0) & (down == 1)
    rows, i, j = np.nonzero(only_up[:, :, None] & only_down[:, None, :])
    images = occupations[rows].copy()
    every = np.arange(len(rows))
    images[every, i], images[every, j] = 0, 1
    images[every, n_sites + j], images[every, n_sites + i] = 0, 1
    low, high = np.minimum(i, j), np.maximum(i, j)
    # Neither block has a particle at both ends: those from low to high less the one there.
    through = np.cumsum(up + down, axis=1)
    between = through[rows, high] - through[rows, low] - 1
    return rows, images, np.where(between % 2 == 0, -1.0, 1.0)


def s_squared_diagonal(occupations: np.ndarray, n_sites: int) -> np.ndarray:
    """Diagonal part (n,) of S^2 for occupations (n, 2 n_sites), up block first."""
    up, down = (occupations[:, part].sum(axis=1) for part in (slice(n_sites), slice(n_sites, None)))
    s_z = 0.5 * (up.astype(float) - down)
    return s_z * (s_z + 1.0) + down - doubly_occupied(occupations, n_sites).sum(axis=1)


def doubly_occupied(occupations: np.ndarray, n_sites: int) -> np.ndarray:
    """(n, n_sites) of 0.0 and 1.0: sites with both spins."""
    return (occupations[:, :n_sites] & occupations[:, n_sites:]).astype(float)


@compiled()
def _flat_connections(rows, hops, amplitudes, repulsion, levels, on_site, n_sites, capacity):
    n, modes = rows.shape
    n_spins = modes // n_sites
    counts = np.empty(n, np.int64)
    out = np.empty((n * capacity, modes), np.int8)
    values = np.empty(n * capacity, amplitudes.dtype)
    total = np.empty(n_sites)
    before = np.empty(modes + 1, np.int64)
    used = 0
    for r in range(n):
        x = rows[r]
        before[0] = 0
        for p in range(modes):
            before[p + 1] = before[p] + x[p]
        energy = 0.0
        for i in range(n_sites):
            total[i] = 0.0
            for s in range(n_spins):
                total[i] += x[s * n_sites + i]
            energy += levels[i] * total[i]
            if n_spins == 2:
                energy += on_site * x[i] * x[n_sites + i]
        for i in range(n_sites):
            if total[i] != 0.0:
                for j in range(n_sites):
                    energy += 0.5 * repulsion[i, j] * total[i] * total[j]
        start = used
        out[used] = x
        values[used] = energy
        used += 1
        for s in range(n_spins):
            for k in range(hops.shape[0]):
                target, source = s * n_sites + hops[k, 0], s * n_sites + hops[k, 1]
                if x[source] == 1 and x[target] == 0:
                    low, high = min(target, source), max(target, source)
                    odd = (before[high] - before[low + 1]) & 1
                    out[used] = x
                    out[used, source] = 0
                    out[used, target] = 1
                    values[used] = -amplitudes[k] if odd else amplitudes[k]
                    used += 1
        counts[r] = used - start
    return counts, out[:used].copy(), values[:used].copy()
