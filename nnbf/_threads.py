"""How many threads processes of ours take when several run side by side."""

import os


def threads_environment(threads: int) -> dict[str, str]:
    """Return the variables that keep a process to so many threads; those that are set already are kept."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NNBF_NUM_THREADS")
    found = {name: str(threads) for name in names if name not in os.environ}
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1 and "multi_thread_eigen" not in flags:
        found["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=false {flags}".strip()
    return found
