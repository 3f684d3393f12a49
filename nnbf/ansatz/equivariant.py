"""Symmetry-aware neural backflow for lattice fermions (Romero, Nys and Carleo, arXiv:2406.09077)."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from netket.utils import HashableArray

from nnbf.ansatz.backflow import occupied_orbitals
from nnbf.ansatz.convolution import LatticeNetwork, silu
from nnbf.ansatz.jastrow import DistanceJastrow
from nnbf.ansatz.logdet import log_of_sum, logdet, slogdet
from nnbf.ansatz.orbitals import LatticeOrbitals
from nnbf.ansatz.projection import ProjectionPlan, projection_plan
from nnbf.ansatz.registry import register_ansatz
from nnbf.ansatz.spin_projection import rotated, spin_rotations
from nnbf.ansatz.symmetry import SymmetryElements

_BACKFLOWS = ("multiplicative", "additive", "both", "none")


@register_ansatz("equivariant_backflow")
class EquivariantBackflow(nn.Module):
    r"""Determinants of orbitals that a translation-equivariant network changes, times Jastrow factors.

    .. math::

        \psi(n) = e^{J(n) + \sum_c f_c(n)}
            \sum_d \prod_\sigma \det[B^{d\sigma}_{\mu, i}(n)]_{i \in n_\sigma}, \quad
        B_{\mu i} = E_{\mu i} \left( u_{\mu, c(i)} (1 + F_{\mu i}(n)) + A_{\mu i}(n) \right)

    with envelope E and amplitudes u of `LatticeOrbitals` and F, A, f the outputs of one residual
    convolutional network that sees all spins. Output weights start small: at step 0 the state is close to
    the filled orbitals. With plane waves (a unit cell of one site) the state has the sum of their momenta
    exactly, whatever the parameters. Real orbitals with real parameters make a real state.

    With a ``total_spin`` the product over spins becomes a sum over rotations of one determinant of all
    particles, ``sum_a w_a det[B(beta_a)]``, in which orbitals of either spin reach particles of both: exactly
    of that spin for Slater determinants, and for any F and A that depend on the charge of the sites alone.
    """

    size: tuple[int, int]
    """Unit cells along a1 and a2."""
    orbitals: tuple[LatticeOrbitals, ...]
    """Orbitals of each spin: one entry, or two with the up spin first."""
    backflow: str = "multiplicative"
    """`multiplicative` (F), `additive` (A), `both`, or `none` (Slater determinants)."""
    features: int = 16
    """Width of the network."""
    depth: int = 3
    """Convolutions of the network."""
    kernel: tuple[int, int] = (3, 3)
    """Extent of a convolution, in cells."""
    periodic: tuple[bool, bool] = (True, True)
    """Directions that close on themselves, with or without a twist."""
    layer_norm: bool = False
    """Normalise over the features before each activation."""
    activation: Callable[[jax.Array], jax.Array] = silu
    """Activation; with complex parameters it acts on real and imaginary parts."""
    distances: HashableArray | None = None
    """(n_sites, n_sites) ranks of distances: a Jastrow parameter for each. None for no such factor."""
    repulsion: tuple[float, float] = (0.0, 0.0)
    """Initial Jastrow parameters of neighbours, and of two particles on one site."""
    network_jastrow: bool = False
    """A further Jastrow factor: one more output of the network, summed over the cells."""
    noise: float = 0.05
    """Scale of the initial output weights, and of the random part of amplitudes that are varied."""
    total_spin: float | None = None
    """Total spin S that the determinants of two spins are projected on; None for no such projection."""
    param_dtype: Any = jnp.float64
    """Type of the parameters and of the network, real or complex."""

    def __post_init__(self):
        super().__post_init__()
        if self.total_spin is not None:
            if len(self.orbitals) != 2:
                raise ValueError("a total spin is for orbitals of two spins")
            self._rotations()
        if self.backflow not in _BACKFLOWS:
            raise ValueError(f"backflow must be one of {', '.join(_BACKFLOWS)}, got {self.backflow!r}")
        if len(self.orbitals) not in (1, 2):
            raise ValueError(f"orbitals must be of one or two spins, got {len(self.orbitals)}")
        cells, sites = self.size[0] * self.size[1], {o.n_sites for o in self.orbitals}
        if len(sites) != 1 or self.n_sites % cells:
            raise ValueError(f"orbitals on {sorted(sites)} sites do not fit a lattice of {cells} cells")
        if len({o.n_determinants for o in self.orbitals}) != 1:
            raise ValueError("orbitals of both spins must have as many determinants")
        if jnp.issubdtype(self.param_dtype, jnp.complexfloating) and any(o.is_real for o in self.orbitals):
            raise ValueError("complex parameters need complex orbitals: make them with real=False")
        if self.depth < 1 or self.features < 1 or min(self.kernel) < 1:
            raise ValueError("depth, features and kernel must be at least 1")

    # ---- sizes -------------------------------------------------------------------------------------

    @property
    def n_sites(self) -> int:
        """Sites of the lattice."""
        return self.orbitals[0].n_sites

    @property
    def per_sample(self) -> bool:
        """Always: convolutions of small lattices."""
        return True

    @property
    def n_spins(self) -> int:
        """Spins of a site."""
        return len(self.orbitals)

    @property
    def is_real(self) -> bool:
        """True where psi is real, up to the weights of a projection."""
        return all(o.is_real for o in self.orbitals)

    def _rotations(self):
        """Half-angle cosines, sines and weights, (A,), of the sum over rotations."""
        up, down = (o.n_particles for o in self.orbitals)
        return spin_rotations(self.total_spin, (up, down), self.n_sites)

    @property
    def _has_complex_parameters(self):
        return jnp.issubdtype(self.param_dtype, jnp.complexfloating)

    def _n_raw(self, orbitals):
        return orbitals.n_channels + (0 if self._has_complex_parameters else orbitals.n_complex)

    @property
    def _n_copies(self):
        return {"none": 0, "both": 2}.get(self.backflow, 1)

    @property
    def _output_sizes(self):
        """Outputs of the network at a site, for each spin."""
        return [self._n_copies * o.n_determinants * self._n_raw(o) for o in self.orbitals]

    # ---- parameters --------------------------------------------------------------------------------

    def setup(self):
        """Make the network, the amplitudes and the Jastrow factors."""
        n_basis = self.n_sites // (self.size[0] * self.size[1])
        outputs = sum(self._output_sizes)
        if outputs or self.network_jastrow:
            self.network = LatticeNetwork(
                outputs * n_basis + self.network_jastrow,
                self.features,
                self.depth,
                self.kernel,
                self.periodic,
                self.layer_norm,
                self.activation,
                self.noise,
                self.param_dtype,
            )
        names = ("orbitals",) if self.n_spins == 1 else ("orbitals_up", "orbitals_down")
        self.amplitudes = [
            self.param(name, self._initial_amplitudes, o) if o.trainable and o.n_channels else None
            for name, o in zip(names, self.orbitals, strict=True)
        ]
        if self.distances is not None:
            self.jastrow = DistanceJastrow(self.distances, self.n_spins, self.param_dtype, *self.repulsion)

    def _initial_amplitudes(self, key, orbitals):
        amplitudes = np.asarray(orbitals.amplitudes)
        if self._has_complex_parameters:
            raw = jnp.asarray(amplitudes, self.param_dtype)
        else:
            first = orbitals.n_channels - orbitals.n_complex
            parts = (amplitudes.real, amplitudes[:, first:].imag)
            raw = jnp.asarray(np.concatenate(parts, axis=1), self.param_dtype)
        scale = self.noise * jnp.sqrt(jnp.mean(jnp.abs(raw) ** 2))
        return raw + scale * jax.random.normal(key, raw.shape, self.param_dtype)

    def _assembled(self, raw, orbitals, axis):
        """Numbers of the channels, complex where they must be, from parameters or outputs."""
        if self._has_complex_parameters or not orbitals.n_complex:
            return raw
        first = orbitals.n_channels - orbitals.n_complex
        single, re, im = jnp.split(raw, [first, orbitals.n_channels], axis=axis)
        return jnp.concatenate([single.astype(jnp.result_type(raw, 1j)), re + 1j * im], axis=axis)

    # ---- wave function -----------------------------------------------------------------------------

    def __call__(self, occupations: jax.Array) -> jax.Array:
        """Complex log psi (...,) of 0/1 occupations (..., n_spins * n_sites), up block first."""
        return self.projected(occupations, SymmetryElements.identity(self.n_sites))

    def projected(self, occupations: jax.Array, symmetry: SymmetryElements) -> jax.Array:
        """Complex logarithm (...,) of the state after the operator of `symmetry`.

        One pass of the network for all elements that differ by translations. Where the state vanishes the
        result is finite, some -700, with derivative zero.
        """
        plan = projection_plan(symmetry, self.orbitals, self.size, self.periodic)
        if plan.flipped.any() and (self.n_spins == 1 or len({o.n_particles for o in self.orbitals}) > 1):
            raise ValueError("a spin flip needs two spins with as many particles each")
        if np.iscomplexobj(plan.phases) and any(o.is_real for o in self.orbitals):
            raise ValueError("gauge phases that are not +-1 need complex orbitals")
        cells = self._cells(occupations, plan)
        outputs, jastrow = self._outputs(cells)
        sign, log, weights = self._terms(occupations, outputs, plan)
        if jastrow is not None:
            log = log + jastrow[..., None, None, None]
        flat = (*log.shape[:-4], -1)
        terms = jnp.broadcast_to(sign * jnp.asarray(weights, _matching(weights, sign)), log.shape)
        value = log_of_sum(terms.reshape(flat), log.reshape(flat))
        if self.distances is not None:
            value = value + self.jastrow(occupations)
        return value

    def _cells(self, occupations, plan):
        """Input of each pass: (..., C, L1, L2, spins * basis), +1 occupied and -1 empty."""
        spins = np.arange(self.n_spins)
        order = np.where(plan.flipped[:, None], spins[::-1], spins)
        modes = order[:, :, None] * self.n_sites + plan.moved[:, None, :]
        x = (2.0 * occupations[..., modes] - 1.0).astype(self.param_dtype)
        x = x.reshape(*x.shape[:-1], *self.size, -1)
        x = jnp.moveaxis(x, -4, -2)
        return x.reshape(*x.shape[:-2], -1)

    def _outputs(self, cells):
        """Outputs of the network for each spin, (..., C, n_sites, copies D raw) or None, and J (..., C)."""
        sizes, jastrow = self._output_sizes, None
        flat = jnp.zeros((*cells.shape[:-3], self.n_sites, 0))
        if sum(sizes) or self.network_jastrow:
            outputs = self.network(cells)
            if self.network_jastrow:
                outputs, factors = outputs[..., :-1], outputs[..., -1]
                jastrow = jnp.sum(factors, axis=(-2, -1))
            flat = outputs.reshape(*cells.shape[:-3], self.n_sites, sum(sizes))
        if not self._n_copies:
            return [None] * self.n_spins, jastrow
        return jnp.split(flat, np.cumsum(sizes)[:-1], axis=-1), jastrow

    def _terms(self, occupations, outputs, plan: ProjectionPlan):
        """Signs, logarithms (..., C, R, D, A) and weights of the determinants; A rotations, one without."""

        def matrix(particles, spin):
            return self._matrix(occupations, particles, spin, outputs[spin], plan)

        spins = range(self.n_spins)
        if self.total_spin is not None:
            cosines, sines, of_angles = self._rotations()
            sign, log = _log_determinant(
                rotated([[matrix(s, t) for t in spins] for s in spins], cosines, sines)
            )
            return sign, log, plan.weights[..., None] * of_angles
        sign, log = _log_determinant(matrix(0, 0))
        for spin in spins[1:]:
            other_sign, other_log = _log_determinant(matrix(spin, spin))
            sign, log = sign * other_sign, log + other_log
        return sign[..., None], log[..., None], plan.weights[..., None]

    def _matrix(self, occupations, particles, spin, outputs, plan: ProjectionPlan):
        """Orbitals of one spin at the particles of a spin, (..., C, R, D, N, n orbitals)."""
        orbitals = self.orbitals[spin]
        n_sets = orbitals.n_determinants
        passes, moved_sets = plan.weights.shape[:2]
        sites = self._particles(occupations, particles, plan)
        # Rows of a table, one for each pass and site: contiguous, and cheap to gather.
        index = sites + self.n_sites * np.arange(passes)[:, None]
        envelope = _real_or_complex(_moved(np.asarray(orbitals.envelope), plan), self.param_dtype)
        width = (moved_sets, n_sets, orbitals.n_channels)
        rows, shape = (passes * self.n_sites, math.prod(width)), (*sites.shape, *width)
        amplitudes = self.amplitudes[spin]
        if amplitudes is None:
            amplitudes = _real_or_complex(np.asarray(orbitals.amplitudes), self.param_dtype)
        else:
            amplitudes = self._assembled(amplitudes, orbitals, axis=1)
        places = np.asarray(orbitals.places)[plan.sources]
        table = envelope * jnp.moveaxis(amplitudes[:, :, places], (2, 3, 4), (0, 2, 1))
        matrix = table.reshape(rows)[index].reshape(shape)
        if outputs is not None:
            change = self._changes(outputs, sites, orbitals, plan)
            if self.backflow in ("multiplicative", "both"):
                matrix = matrix * (1.0 + change[..., None, 0, :, :])
            if self.backflow in ("additive", "both"):
                waves = envelope.reshape(rows)[index].reshape(shape)
                matrix = matrix + waves * change[..., None, -1, :, :]
        matrix = jnp.moveaxis(matrix, -4, -2)
        if orbitals.n_pairs:
            single, pairs = jnp.split(matrix, [orbitals.n_channels - orbitals.n_pairs], axis=-1)
            matrix = jnp.concatenate([single.real, pairs.real, pairs.imag], axis=-1)
        return matrix

    def _particles(self, occupations, spin, plan):
        """Sites (..., C, N) of the particles in the order of n that count as those of `spin`."""
        number = self.orbitals[spin].n_particles
        blocks = jnp.split(occupations, self.n_spins, axis=-1)
        sites = occupied_orbitals(blocks[spin], number)[..., None, :]
        if plan.flipped.any():
            other = occupied_orbitals(blocks[1 - spin], number)[..., None, :]
            return jnp.where(plan.flipped[:, None], other, sites)
        return jnp.broadcast_to(sites, (*sites.shape[:-2], len(plan.flipped), number))

    def _changes(self, outputs, sites, orbitals, plan):
        """Outputs at the particles, (..., C, N, copies, D, channels)."""
        columns = jnp.asarray(plan.columns)[np.arange(len(plan.columns))[:, None], sites]
        raw = jnp.take_along_axis(outputs, columns[..., None], axis=-2)
        raw = raw.reshape(*sites.shape, self._n_copies, orbitals.n_determinants, self._n_raw(orbitals))
        return self._assembled(raw, orbitals, axis=-1)


@register_ansatz("projected_backflow")
class ProjectedBackflow(nn.Module):
    """A backflow state projected on a symmetry sector: ``sum_g w_g g psi``.

    Parameters are those of the inner module, under ``backflow``. The distance Jastrow factor is taken to be
    invariant, as it is under every symmetry of the lattice.
    """

    backflow: EquivariantBackflow
    """The state before projection."""
    symmetry: SymmetryElements
    """Elements and weights of the projector."""

    def __post_init__(self):
        super().__post_init__()
        if self.backflow.distances is not None:
            distances = np.asarray(self.backflow.distances)
            for permutation in np.asarray(self.symmetry.permutations):
                if not np.array_equal(distances[np.ix_(permutation, permutation)], distances):
                    raise ValueError("a symmetry element changes the distances of the Jastrow factor")

    @property
    def per_sample(self) -> bool:
        """Always, as for the state before projection."""
        return True

    @property
    def n_passes(self) -> int:
        """Passes of the network for one amplitude, one for each element of the point group."""
        backflow = self.backflow
        plan = projection_plan(self.symmetry, backflow.orbitals, backflow.size, backflow.periodic)
        return plan.weights.shape[0]

    @property
    def is_real(self) -> bool:
        """True where psi is real."""
        complex_weights = np.iscomplexobj(np.asarray(self.symmetry.weights))
        return self.backflow.is_real and not complex_weights

    def __call__(self, occupations: jax.Array) -> jax.Array:
        """Complex log psi (...,) of occupations (..., n_spins * n_sites)."""
        return self.backflow.projected(occupations, self.symmetry)


def _log_determinant(matrix):
    """Sign and logarithm of determinants: complex logarithms of complex ones."""
    if jnp.iscomplexobj(matrix):
        return jnp.ones((1,) * (matrix.ndim - 2), matrix.real.dtype), logdet(matrix)
    return slogdet(matrix)


def _moved(envelope, plan):
    """(C, n_sites, R, D, channels) envelope at the sources, times gauge factors."""
    moved = envelope[:, :, plan.sources] * plan.phases
    return np.moveaxis(moved, (2, 4, 3), (0, 1, 2))


def _real_or_complex(array, param_dtype):
    precision = jnp.finfo(param_dtype).dtype
    if np.iscomplexobj(array):
        return jnp.asarray(array, jnp.result_type(precision, jnp.complex64))
    return jnp.asarray(array, precision)


def _matching(weights, sign):
    return jnp.result_type(sign.dtype, jnp.complex64) if np.iscomplexobj(weights) else sign.dtype
