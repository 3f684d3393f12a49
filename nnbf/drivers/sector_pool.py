"""Sectors of a spectrum side by side, each in a process of its own."""

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from hamiltonians import LatticeModel, Sector
from nnbf._threads import threads_environment
from nnbf.drivers.lattice_options import LatticeOptions

OnStep = Callable[[Sector, int, dict[str, Any]], None]

#: Seconds between two looks at whether to stop, and at the steps made.
_INTERVAL = 0.5


def solve_in_processes(
    model: LatticeModel,
    sectors: Sequence[Sector],
    options: LatticeOptions,
    *,
    workers: int,
    levels: int = 1,
    exact_limit: int = 200_000,
    time_limit: float | None = None,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield record and parameters of each level, sector by sector, in the order in which sectors are done.

    Levels are those of :func:`~nnbf.drivers.spectrum.solve_spectrum` with the same arguments: the same
    numbers, whatever the number of processes. What a failed sector raises is raised here, after the others
    have stopped.

    Args:
        model: The lattice model.
        sectors: Which sectors; the largest are begun first.
        options: Network, orbitals, method.
        workers: Processes, each with one thread.
        levels: Levels of each sector.
        exact_limit: Sectors up to this many states are diagonalised beside.
        time_limit: Seconds for everything; sampled sectors share it evenly.
        on_step: Called with sector, level and a row of numbers after steps, now and then.
        should_stop: Asked now and then; true ends all processes after their step.
    """
    started = time.monotonic()
    order = sorted(range(len(sectors)), key=lambda place: -sectors[place].n_states)
    rounds = -(-len(sectors) // workers)
    share = None if time_limit is None else time_limit / rounds
    context = multiprocessing.get_context("spawn")
    stop, steps = context.Event(), context.Queue()
    with (
        _environment(threads_environment(1)),
        ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop, steps)) as pool,
    ):
        waiting: dict[Future, int] = {}
        for place in order:
            limits = (levels, exact_limit, share, None if time_limit is None else time.time() + time_limit)
            waiting[pool.submit(_solve, place, model, sectors[place], options, *limits)] = place
        try:
            while waiting:
                done, _ = wait(waiting, timeout=_INTERVAL, return_when=FIRST_COMPLETED)
                _report(steps, sectors, on_step)
                late = time_limit is not None and time.monotonic() - started > time_limit
                if late or (should_stop is not None and should_stop()):
                    stop.set()
                for future in done:
                    del waiting[future]
                    yield from future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            # What a process still had to say when its result came, it has said now that it has ended.
            _report(steps, sectors, on_step)


def _report(steps: Any, sectors: Sequence[Sector], on_step: OnStep | None) -> None:
    while True:
        try:
            place, level, row = steps.get_nowait()
        except queue.Empty:
            return
        if on_step is not None:
            on_step(sectors[place], level, row)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment of processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_stop: Any = None
_steps: Any = None


def _begin(stop: Any, steps: Any) -> None:
    """In a new process: the first one decides when to stop."""
    global _stop, _steps
    _stop, _steps = stop, steps
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _solve(
    place: int,
    model: LatticeModel,
    sector: Sector,
    options: LatticeOptions,
    levels: int,
    exact_limit: int,
    share: float | None,
    deadline: float | None,
) -> list[tuple[dict[str, Any], Any]]:
    """In a process: the levels of one sector."""
    from nnbf.drivers.snapshot import pack_tree
    from nnbf.drivers.spectrum import solve_spectrum

    if _stop.is_set():
        return []
    left = None if deadline is None or share is None else min(share, deadline - time.time())
    if left is not None and left <= 0:
        return []
    found = solve_spectrum(
        model,
        [sector],
        options,
        levels=levels,
        exact_limit=exact_limit,
        time_limit=left,
        on_step=lambda _, level, row: _steps.put((place, level, row)),
        should_stop=_stop.is_set,
    )
    return [(record, pack_tree(level.state.parameters)) for record, level in found]
