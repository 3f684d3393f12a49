"""Row blocks over a thread pool: the compiled kernels release the GIL."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def n_threads() -> int:
    """Worker threads for determinant kernels: ``NNBF_NUM_THREADS``, else the usable cores."""
    requested = os.environ.get("NNBF_NUM_THREADS", "")
    if requested.isdigit() and int(requested) > 0:
        return int(requested)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def map_tasks(function: Callable[..., Any], tasks: list[tuple]) -> list[Any]:
    """``[function(*task) for task in tasks]`` over the threads; results keep the order of the tasks."""
    workers = min(n_threads(), len(tasks))
    if workers <= 1:
        return [function(*task) for task in tasks]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda task: function(*task), tasks))


def map_row_blocks(function: Callable[[int, int], Any], n_rows: int, block: int = 0) -> list[Any]:
    """Call ``function(lo, hi)`` over consecutive row blocks that cover ``range(n_rows)``.

    Args:
        function: Works on rows ``lo <= row < hi``; what it returns is collected in row order.
        n_rows: Number of rows.
        block: Rows a block; 0 chooses several blocks a thread, so that uneven rows balance.
    """
    if block <= 0:
        block = max(1, -(-n_rows // (4 * n_threads())))
    return map_tasks(function, [(lo, min(lo + block, n_rows)) for lo in range(0, n_rows, block)])
