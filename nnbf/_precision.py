"""Double precision for JAX: the one place where it is switched on."""

import jax


def enable_double_precision() -> None:
    """Let JAX use 64-bit numbers; energies to 1e-8 Hartree need them."""
    jax.config.update("jax_enable_x64", True)
