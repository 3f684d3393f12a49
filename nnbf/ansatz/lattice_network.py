"""Residual convolutional network on a lattice: equivariant under translations."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class LatticeNetwork(nn.Module):
    """Map features of the unit cells (..., L1, L2, C_in) to (..., L1, L2, channels).

    A convolution, ``depth - 1`` residual convolutions, and one dense layer at every cell. Moving the input
    along a periodic direction moves the output. Sites of a unit cell, and spins, are channels.
    """

    channels: int
    """Outputs of every cell."""
    features: int = 16
    """Width of the hidden layers."""
    depth: int = 3
    """Number of convolutions."""
    kernel: tuple[int, int] = (3, 3)
    """Extent of a convolution along a1 and a2, in cells."""
    periodic: tuple[bool, bool] = (True, True)
    """Directions that close on themselves; along the others cells outside are zero."""
    layer_norm: bool = False
    """Normalise over the features of a cell before each activation."""
    activation: Callable[[jax.Array], jax.Array] = nn.silu
    """Activation; with complex parameters it acts on real and imaginary parts."""
    output_scale: float = 1.0
    """Scale of the initial output weights; biases start at zero."""
    param_dtype: Any = jnp.float64
    """Type of parameters and of the forward pass, real or complex."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the outputs (..., L1, L2, channels)."""
        x = self._convolution(x.astype(self.param_dtype), 0)
        for layer in range(1, self.depth):
            x = x + self._convolution(self._activated(x, layer - 1), layer)
        return nn.Dense(
            self.channels,
            param_dtype=self.param_dtype,
            kernel_init=nn.initializers.variance_scaling(self.output_scale**2, "fan_in", "normal"),
            name="output",
        )(self._activated(x, self.depth - 1))

    def _convolution(self, x, layer):
        # Patches and one matrix product: on a CPU faster than XLA's convolution in double precision, and
        # right for kernels larger than the lattice.
        (k1, k2), (l1, l2) = self.kernel, x.shape[-3:-1]
        x = _padded(_padded(x, -3, k1, self.periodic[0]), -2, k2, self.periodic[1])
        patches = [x[..., a : a + l1, b : b + l2, :] for a in range(k1) for b in range(k2)]
        return nn.Dense(self.features, param_dtype=self.param_dtype, name=f"convolution_{layer}")(
            jnp.concatenate(patches, axis=-1)
        )

    def _activated(self, x, layer):
        if self.layer_norm:
            x = nn.LayerNorm(param_dtype=self.param_dtype, name=f"norm_{layer}")(x)
        if jnp.iscomplexobj(x):
            return self.activation(x.real) + 1j * self.activation(x.imag)
        return self.activation(x)


def _padded(x, axis, extent, periodic):
    width = [(0, 0)] * x.ndim
    width[axis] = (extent // 2, extent - 1 - extent // 2)
    return jnp.pad(x, width, mode="wrap") if periodic else jnp.pad(x, width)
