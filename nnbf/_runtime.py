"""Precision of JAX, and threads of processes that run side by side."""

import os


def enable_double_precision() -> None:
    """Let JAX use 64-bit numbers: energies to 1e-8 Hartree need them."""
    import jax

    jax.config.update("jax_enable_x64", True)


def threads_environment(threads: int) -> dict[str, str]:
    """Return the variables that keep a process to so many threads; those that are set already are kept."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NNBF_NUM_THREADS")
    found = {name: str(threads) for name in names if name not in os.environ}
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1 and "multi_thread_eigen" not in flags:
        found["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=false {flags}".strip()
    return found
