"""Self-attention backflow: nnbf --plugin transformer.py molecule H2 --basis 6-31g --network transformer."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from nnbf import register_ansatz
from nnbf.ansatz.logdet import slogdet


@register_ansatz("transformer")
class Transformer(nn.Module):
    """One determinant of all particles, in orbitals that every mode makes after attending to the others."""

    n_modes: int
    occupied: tuple[int, ...]  # filled by the program: modes of the reference configuration
    width: int = 16
    heads: int = 2
    depth: int = 1
    is_real = True

    @nn.compact
    def __call__(self, n):
        n = (n > 0).astype(int)
        size, normal = len(self.occupied), nn.initializers.normal(0.3)
        x = self.param("mode", normal, (self.n_modes, self.width))
        x = x + self.param("filled", normal, (2, self.width))[n]
        for _ in range(self.depth):
            x = x + nn.MultiHeadDotProductAttention(self.heads, param_dtype=float)(nn.LayerNorm()(x))
            x = x + nn.Dense(self.width, param_dtype=float)(nn.gelu(x))
        reference = np.eye(self.n_modes)[:, list(self.occupied)]
        phi = self.param("orbitals", lambda key: jnp.asarray(reference) + 0.05 * normal(key, reference.shape))
        phi = phi + nn.Dense(size, param_dtype=float, kernel_init=nn.initializers.normal(0.02))(x)
        rows = jnp.argsort(-n, axis=-1, stable=True)[..., :size, None]
        sign, log_abs = slogdet(jnp.take_along_axis(phi, rows, axis=-2))
        return log_abs + 1j * jnp.where(sign < 0, jnp.pi, 0.0)
