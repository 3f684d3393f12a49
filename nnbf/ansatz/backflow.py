"""Neural network backflow for molecules (Liu and Clark, arXiv:2403.03286, 2502.18843)."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from netket.utils import HashableArray

from nnbf.ansatz.logdet import signed_logsumexp, slogdet
from nnbf.ansatz.registry import register_ansatz
from nnbf.ansatz.spin_projection import rotated, spin_rotations
from nnbf.ansatz.symmetry import SymmetryElements
from nnbf.ansatz.weight_tying import Tie, TiedDense, layer_ties, tied_width


@register_ansatz("neural_backflow")
class NeuralBackflow(nn.Module):
    r"""Sum of determinants of configuration-dependent orbitals.

    .. math:: \psi(n) = \sum_d \det[\Phi_d(n)]_{\mathrm{occ}(n)}, \quad \Phi(n) = \mathrm{MLP}(2n - 1)

    with :math:`\Phi_d(n)` of shape (2M, N), or with ``blocked`` a product of an alpha determinant,
    (M, N_alpha), and a beta determinant, (M, N_beta), which is smaller and faster. The output bias
    starts at the reference determinant, or other orbitals, the output weights start small: at step 0 the
    state is close to that determinant.

    With a ``total_spin`` S the product of the two determinants becomes a sum over rotations of one
    determinant of all electrons (:mod:`nnbf.ansatz.spin_projection`), and the network sees the charge of
    every orbital, not the spins: :math:`S^2 \psi = S (S + 1) \psi` for any parameters, as on lattices.
    """

    n_orbitals: int
    """Spatial orbitals M."""
    n_alpha: int
    """Alpha electrons."""
    n_beta: int
    """Beta electrons."""
    n_determinants: int = 1
    """Number of determinants D."""
    hidden: Sequence[int] = (128,)
    """Widths of the hidden layers."""
    blocked: bool = True
    """Product of an alpha and a beta determinant, instead of one over all spin orbitals."""
    spin_flip: str = "none"
    """"none"; "average": psi(n) + psi(flip n); "canonical": psi(min(n, flip n)), "odd": the same with the
    opposite sign for the larger one. The former two make a state of even total spin, the last one of odd; all
    need as many alpha as beta electrons."""
    reference: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    """Occupied alpha and beta orbitals of the reference determinant (default: the first ones)."""
    initial_orbitals: tuple[HashableArray, HashableArray] | None = None
    """Alpha and beta orbitals, (M, N_alpha) and (M, N_beta), that the state starts from instead of those of
    the reference; with ``blocked`` alone."""
    total_spin: float | None = None
    """Total spin S that the determinants are projected on; with ``blocked``, without ``spin_flip``."""
    orbital_irreps: tuple[int, ...] | None = None
    """XOR codes (M,) of the orbitals' irreps in an Abelian group (``hamiltonians.irrep_bits``): psi is zero
    on determinants of another irrep than the reference's. None for no such restriction."""
    symmetry: SymmetryElements | None = None
    """Operations that leave the initial orbitals invariant: weights are tied so that psi changes by a sign
    at most, for any parameters (:mod:`~nnbf.ansatz.weight_tying`). Hidden widths are rounded up to multiples
    of them."""
    noise: float = 0.05
    """Standard deviation of the random part of the initial orbitals."""
    activation: Callable[[jax.Array], jax.Array] = nn.tanh
    """Activation of the hidden layers."""
    param_dtype: Any = jnp.float64
    """Precision of parameters and of the forward pass."""

    def __post_init__(self):
        super().__post_init__()
        if self.spin_flip not in ("none", "average", "canonical", "odd"):
            raise ValueError(f"spin_flip must be none, average, canonical or odd, got {self.spin_flip!r}")
        if self.spin_flip != "none" and self.n_alpha != self.n_beta:
            raise ValueError(
                f"spin flip needs as many alpha as beta electrons, got {self.n_alpha} and {self.n_beta}"
            )
        if min(self.n_alpha, self.n_beta) < 0 or max(self.n_alpha, self.n_beta) > self.n_orbitals:
            raise ValueError(
                f"{self.n_alpha} + {self.n_beta} electrons do not fit into {self.n_orbitals} orbitals"
            )
        if self.n_determinants < 1:
            raise ValueError(f"n_determinants must be at least 1, got {self.n_determinants}")
        if self.reference is not None:
            allowed = range(self.n_orbitals)
            for spin, orbitals, count in zip(("alpha", "beta"), self.reference, (self.n_alpha, self.n_beta)):
                if len(set(orbitals).intersection(allowed)) != count or len(orbitals) != count:
                    raise ValueError(
                        f"reference must name {count} different {spin} orbitals below {self.n_orbitals}, "
                        f"got {tuple(orbitals)}"
                    )

        if not self.blocked and (self.initial_orbitals is not None or self.total_spin is not None):
            raise ValueError(
                "initial_orbitals and total_spin are for determinants of each spin: give blocked"
            )
        if self.initial_orbitals is not None:
            shapes = [np.asarray(orbitals).shape for orbitals in self.initial_orbitals]
            expected = [(self.n_orbitals, n) for n in (self.n_alpha, self.n_beta)]
            if shapes != expected:
                raise ValueError(f"initial_orbitals must have shapes {expected}, got {shapes}")
        if self.total_spin is not None:
            if self.spin_flip != "none":
                raise ValueError("a total spin has its parity under spin flip: give spin_flip none")
            self._rotations()
        if self.symmetry is not None and (self.initial_orbitals is None or self.is_folded):
            raise ValueError("symmetry is for initial_orbitals, without spin_flip canonical or odd")

    def ties(self) -> tuple[Tie, ...] | None:
        """How the weights of each layer are tied, in their order; None where they are free."""
        if self.symmetry is None:
            return None
        by_charge = self.total_spin is not None
        return layer_ties(self.symmetry, self.initial_orbitals, self._widths, self.n_determinants, by_charge)

    @property
    def _widths(self):
        return tuple(tied_width(width, self.symmetry) for width in self.hidden)

    def _rotations(self):
        """Half-angle cosines, sines and weights, (A,), of the sum over rotations."""
        return spin_rotations(self.total_spin, (self.n_alpha, self.n_beta), self.n_orbitals)

    @property
    def spin_flip_parity(self) -> int | None:
        """1 or -1 where psi is even or odd under spin flip by construction, else None."""
        if self.total_spin is not None and self.n_alpha == self.n_beta:
            return 1 - 2 * (round(self.total_spin) % 2)
        return {"none": None, "odd": -1}.get(self.spin_flip, 1)

    @property
    def is_folded(self) -> bool:
        """True where the network is looked at on one of a determinant and its spin flip."""
        return self.spin_flip in ("canonical", "odd")

    @property
    def is_real(self) -> bool:
        """Always."""
        return True

    def signed_log(self, occupations: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Sign and log|psi|, each (...,), of occupations (..., 2M) of zeros and ones, alpha block first."""
        sign, log_abs = self._symmetrised(occupations)
        if self.orbital_irreps is None or not any(self.orbital_irreps):
            return sign, log_abs
        return sign, jnp.where(self._in_reference_irrep(occupations), log_abs, -jnp.inf)

    @nn.compact
    def _symmetrised(self, occupations):
        if self.spin_flip == "none":
            return self._signed_log(occupations[..., None, :], squeeze=True)
        m = self.n_orbitals
        flipped = jnp.concatenate([occupations[..., m:], occupations[..., :m]], axis=-1)
        if self.spin_flip == "average":
            return self._signed_log(jnp.stack([occupations, flipped], axis=-2), squeeze=False)
        alpha, beta = occupations[..., :m] > 0.5, occupations[..., m:] > 0.5
        # The highest orbital in which the strings differ decides, as for bit strings compared as numbers.
        top = m - 1 - jnp.argmax(jnp.flip(alpha != beta, axis=-1), axis=-1)
        swap = jnp.take_along_axis(alpha & ~beta, top[..., None], axis=-1)
        sign, log_abs = self._signed_log(jnp.where(swap, flipped, occupations)[..., None, :], squeeze=True)
        if self.spin_flip == "canonical":
            return sign, log_abs
        is_open = jnp.any(alpha != beta, axis=-1)
        return jnp.where(swap[..., 0], -sign, sign), jnp.where(is_open, log_abs, -jnp.inf)

    def __call__(self, occupations: jax.Array) -> jax.Array:
        """Complex log psi (...,): ``log|psi|`` with imaginary part 0 or pi, as NetKet expects."""
        sign, log_abs = self.signed_log(occupations)
        return log_abs + 1j * jnp.where(sign < 0, jnp.pi, 0.0)

    def _signed_log(self, occupations, squeeze):
        # occupations (..., copies, 2M); the copies are added up.
        m, n_a, n_b, n_det = self.n_orbitals, self.n_alpha, self.n_beta, self.n_determinants
        n = n_a + n_b
        x = self._features(occupations).astype(self.param_dtype)
        ties = self.ties() or (None,) * (len(self.hidden) + 1)
        # The tied part of random weights is smaller by the root of the number of operations.
        variance = 1.0 if self.symmetry is None else float(len(self.symmetry))
        for layer, width in enumerate(self._widths):
            dense = TiedDense(
                width,
                param_dtype=self.param_dtype,
                kernel_init=nn.initializers.variance_scaling(variance, "fan_in", "truncated_normal"),
                name=f"hidden_{layer}",
                tie=ties[layer],
            )
            x = self.activation(dense(x))
        n_out = m * n if self.blocked else 2 * m * n
        x = TiedDense(
            n_det * n_out,
            param_dtype=self.param_dtype,
            kernel_init=nn.initializers.variance_scaling(variance * self.noise**2, "fan_in", "normal"),
            bias_init=self._reference_orbitals,
            name="orbitals",
            tie=ties[-1],
        )(x)
        x = x.reshape(*x.shape[:-1], n_det, n_out)
        up = occupied_orbitals(occupations[..., :m], n_a)[..., None, :, None]
        down = occupied_orbitals(occupations[..., m:], n_b)[..., None, :, None]
        if self.blocked:
            alpha = x[..., : m * n_a].reshape(*x.shape[:-1], m, n_a)
            beta = x[..., m * n_a :].reshape(*x.shape[:-1], m, n_b)
            if self.total_spin is not None:
                return self._rotated_sum((alpha, beta), (up, down))
            sign_a, log_a = slogdet(jnp.take_along_axis(alpha, up, axis=-2))
            sign_b, log_b = slogdet(jnp.take_along_axis(beta, down, axis=-2))
            sign, log_abs = sign_a * sign_b, log_a + log_b
        else:
            phi = x.reshape(*x.shape[:-1], 2 * m, n)
            rows = jnp.concatenate([up, down + m], axis=-2)
            sign, log_abs = slogdet(jnp.take_along_axis(phi, rows, axis=-2))
        # (..., copies, D) -> (...,)
        if n_det > 1 or not squeeze:
            flat = (*sign.shape[:-2], -1)
            return signed_logsumexp(sign.reshape(flat), log_abs.reshape(flat))
        return sign[..., 0, 0], log_abs[..., 0, 0]

    def _features(self, occupations):
        """Input (..., 2M) of the network, from -1 to 1."""
        if self.total_spin is None:
            return 2.0 * occupations - 1.0
        m = self.n_orbitals
        charge = occupations[..., :m] + occupations[..., m:] - 1.0
        return jnp.concatenate([charge, 2.0 * jnp.abs(charge) - 1.0], axis=-1)

    def _rotated_sum(self, orbitals, electrons):
        """Sign and log|psi| (...,) from orbitals (..., copies, D, M, N_t), rows (..., copies, 1, N_s, 1)."""
        cosines, sines, weights = self._rotations()
        blocks = [[jnp.take_along_axis(of_spin, rows, axis=-2) for of_spin in orbitals] for rows in electrons]
        sign, log_abs = slogdet(rotated(blocks, cosines, sines))
        flat = (*sign.shape[:-3], -1)
        return signed_logsumexp((weights * sign).reshape(flat), log_abs.reshape(flat))

    def _in_reference_irrep(self, occupations):
        # An irrep code is a bit string; the product of irreps is the parity of every bit over the electrons.
        codes = np.tile(np.asarray(self.orbital_irreps), 2)
        bits = (codes[:, None] >> np.arange(max(1, int(codes.max()).bit_length()))) & 1
        alpha, beta = self.reference or (range(self.n_alpha), range(self.n_beta))
        occupied = [*alpha, *(self.n_orbitals + q for q in beta)]
        target = bits[occupied].sum(axis=0) % 2
        filled = (occupations > 0.5).astype(self.param_dtype)
        parity = jnp.round(filled @ jnp.asarray(bits, self.param_dtype)).astype(int) % 2
        return jnp.all(parity == target, axis=-1)

    def _reference_orbitals(self, key, shape, dtype):
        m, n_a, n_b = self.n_orbitals, self.n_alpha, self.n_beta
        alpha, beta = self.reference or (range(n_a), range(n_b))
        if self.is_folded and sorted(alpha, reverse=True) > sorted(beta, reverse=True):
            # Only the smaller of n and its flip is ever looked at.
            alpha, beta = beta, alpha
        if self.initial_orbitals is not None:
            orbitals = np.concatenate([np.asarray(of_spin).ravel() for of_spin in self.initial_orbitals])
        elif self.blocked:
            up, down = np.zeros((m, n_a)), np.zeros((m, n_b))
            up[list(alpha), np.arange(n_a)] = 1.0
            down[list(beta), np.arange(n_b)] = 1.0
            orbitals = np.concatenate([up.ravel(), down.ravel()])
        else:
            phi = np.zeros((2 * m, n_a + n_b))
            phi[list(alpha), np.arange(n_a)] = 1.0
            phi[[m + q for q in beta], n_a + np.arange(n_b)] = 1.0
            orbitals = phi.ravel()
        noise = self.noise * jax.random.normal(key, (self.n_determinants, orbitals.size), dtype)
        return (jnp.asarray(orbitals, dtype) + noise).reshape(shape)


def occupied_orbitals(occupations: jax.Array, n_electrons: int) -> jax.Array:
    """Ascending indices (..., N) of the occupied orbitals of one spin; static N."""
    below = jnp.cumsum(occupations > 0.5, axis=-1)
    # The k-th electron sits where the running count first exceeds k; sorting gives the same more slowly.
    return jnp.sum(below[..., None] <= jnp.arange(n_electrons), axis=-2)
