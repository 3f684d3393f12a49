"""Sectors of a spectrum side by side, each in a process of its own."""

import multiprocessing
import os
import queue
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from hamiltonians import Lattice, Sector
from nnbf._threads import threads_environment
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.drivers.level import Level
from nnbf.drivers.monitor import Monitor

#: Seconds between two looks at whether to stop, and at the steps made.
_INTERVAL = 0.5


def levels_of_processes(
    model: Lattice,
    sectors: Sequence[Sector],
    options: LatticeOptions,
    *,
    workers: int,
    levels: int = 1,
    exact_limit: int = 200_000,
    monitor: Monitor | None = None,
) -> Iterator[Level]:
    """Yield each level, without its state, sector by sector, in the order in which sectors are done.

    Levels are those of :func:`~nnbf.drivers.sector_loop.spectrum` with the same arguments: the same
    numbers, whatever the number of processes. What a failed sector raises is raised here, after the others
    have stopped.

    Args:
        model: The lattice model.
        sectors: Which sectors; the largest are begun first.
        options: Network, orbitals, method.
        workers: Processes, each with one thread.
        levels: Levels of each sector.
        exact_limit: Sectors up to this many states are diagonalised beside.
        monitor: Rows (given now and then), stop requests (asked now and then), deadline for everything
            (sampled sectors share the time evenly).
    """
    monitor = Monitor() if monitor is None else monitor
    order = sorted(range(len(sectors)), key=lambda place: -sectors[place].n_states)
    rounds = -(-len(sectors) // workers)
    share = monitor.remaining / rounds
    context = multiprocessing.get_context("spawn")
    stop, steps = context.Event(), context.Queue()
    with (
        _environment(threads_environment(1)),
        ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop, steps)) as pool,
    ):
        waiting: dict[Future, int] = {}
        for place in order:
            limits = (levels, exact_limit, share, monitor.deadline)
            waiting[pool.submit(_solve, model, sectors[place], options, *limits)] = place
        try:
            while waiting:
                done, _ = wait(waiting, timeout=_INTERVAL, return_when=FIRST_COMPLETED)
                _report(steps, monitor)
                if monitor.is_over or monitor.is_stopped:
                    stop.set()
                for future in done:
                    del waiting[future]
                    yield from future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            # What a process still had to say when its result came, it has said now that it has ended.
            _report(steps, monitor)


def _report(steps: Any, monitor: Monitor) -> None:
    while True:
        try:
            row = steps.get_nowait()
        except queue.Empty:
            return
        if monitor.on_row is not None:
            monitor.on_row(row)


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
    model: Lattice,
    sector: Sector,
    options: LatticeOptions,
    levels: int,
    exact_limit: int,
    share: float,
    deadline: float,
) -> list[Level]:
    """In a process: the levels of one sector."""
    from nnbf.drivers.sector_loop import spectrum

    # Processes of one machine share the clock of the deadline.
    monitor = Monitor(on_row=_steps.put, should_stop=_stop.is_set, deadline=deadline).within(share)
    if monitor.is_stopped or monitor.is_over:
        return []
    found = spectrum(model, [sector], options, levels=levels, exact_limit=exact_limit, monitor=monitor)
    return [level.without_state() for level in found.levels]
