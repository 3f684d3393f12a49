"""How many threads processes of ours take when several run side by side."""

import os

from hamiltonians.errors import InputError

MOST_WORKERS = 1024


def require_workers(workers: int) -> None:
    """Refuse numbers of processes that make no sense.

    Raises:
        InputError: It is not from 1 to `MOST_WORKERS`.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"workers must be from 1 to {MOST_WORKERS}, got {workers}")


def threads_environment(threads: int) -> dict[str, str]:
    """Return the variables that keep a process to so many threads; those that are set already are kept."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NNBF_NUM_THREADS")
    found = {name: str(threads) for name in names if name not in os.environ}
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1 and "multi_thread_eigen" not in flags:
        found["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=false {flags}".strip()
    return found
