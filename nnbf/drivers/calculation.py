"""From a problem to its levels: ``solve`` finds one, ``spectrum`` those of symmetry sectors."""

import contextlib
import multiprocessing
import os
import queue
import signal
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from hamiltonians import InputError, Lattice, Molecule, Sector, exact_levels, is_affordable, space_group
from hamiltonians.errors import extra
from nnbf._caches import keep_programs
from nnbf._compute import computing, on_device
from nnbf._runtime import threads_environment, when_closed
from nnbf.drivers.device_checks import with_precision_check, with_roofline
from nnbf.drivers.ground_sector import (
    exact_sector_energy,
    ground_momentum,
    level_warnings,
    sector_warnings,
)
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz
from nnbf.drivers.level import Level, Outcome
from nnbf.drivers.lowest_sector import in_lowest_sector, with_sector_warnings
from nnbf.drivers.methods import Task, make_options, method_named, names
from nnbf.drivers.monitor import Monitor, pack_tree, unpack_tree
from nnbf.drivers.operator_levels import level_of_state
from nnbf.drivers.options import EXACT_LIMIT, LatticeOptions
from nnbf.drivers.sector_levels import sector_state

#: A level may end on a higher state than the one sought, or be out of reach of one determinant: it is started
#: again this often, with another seed and one determinant more.
RETRIES = 2
#: ... where the variance stays above this (units of t^2).
DOUBTFUL_VARIANCE = 8e-3
#: ... or above this in sectors whose steps are solved directly: another run costs little there.
DOUBTFUL_IF_SMALL = 5e-3
#: ... or, where the network has parameters enough to fit the state exactly, above this.
DOUBTFUL_IN_FIT = 1e-3


def solve(
    problem: Any,
    options: Any = None,
    *,
    method: str | None = None,
    model: Any = None,
    optimizer: Any = None,
    sector: Sector | None = None,
    lower: Sequence[Level] = (),
    monitor: Monitor | None = None,
    start: Any = None,
) -> Outcome:
    """Find the lowest level of a problem, or of one of its symmetry sectors.

    Args:
        problem: A molecule or FCIDUMP file (``hamiltonians.build_molecule``, ``read_fcidump``, ...), a
            lattice (``hamiltonians.Lattice``), or one of a kind of your own (`register_problem`).
        options: How to search (`SolverOptions`, `LatticeOptions`, `GeneralOptions`); defaults are meant to be
            good.
        method: selected (molecules: a growing variational space), full-sum (sums over a whole sector) or
            vmc (samples); left out: ``options.method``, else the first of the kind of problem.
        model: A Flax module of log psi instead of the network of the options.
        optimizer: An optimiser of ``nnbf.optimize`` instead of that of the options.
        sector: Symmetry sector of a lattice; left out: the momentum of the ground state where exact
            diagonalisation of all is cheap, else of a lowest filling of free particles, with a warning.
        lower: Known levels of the sector: the next one is found (method full-sum, of any problem).
        monitor: Rows, stop requests, deadline, checkpoints, NetKet's callbacks and loggers. It resumes
            snapshots of the same arguments (``max_steps`` and ``time_limit`` may differ; the time limit is
            that of the session).
        start: Begin with the parameters and the variational space of this outcome or level (or of the
            checkpoint of a run folder) instead of Hartree-Fock; its orbitals have to be those of the problem
            (:func:`hamiltonians.align_orbitals`). It is given up, with a warning, where it is closer to
            an excited state. A resumption needs the same start again.

    Returns:
        The outcome, every energy labelled with its kind.

    Raises:
        InputError: The options do not fit the problem, the snapshot is that of other options, or
            ``start`` is that of another network.
        FloatingPointError: The optimisation left the finite numbers or diverged, also with smaller steps.
    """
    options = make_options(problem.format) if options is None else options
    arguments = (method, model, optimizer, sector, lower, monitor, start)
    with computing(getattr(options, "compute", "auto"), getattr(options, "passes", "double")):
        return _solved(problem, options, *arguments)


def _solved(problem, options, method, model, optimizer, sector, lower, monitor, start) -> Outcome:
    started = time.monotonic()
    if getattr(options, "passes", "double") == "single" and not on_device():
        raise InputError("passes single has no effect on a CPU: leave it out, or give compute device")
    monitor = (monitor or Monitor()).within(getattr(options, "time_limit", None))
    doubts: tuple[str, ...] = ()
    exact: float | None = None
    if isinstance(problem, Lattice):
        if sector is None:
            sector = space_group(problem).sector(ground_momentum(problem), None)
            doubts, exact = sector_warnings(problem, sector), exact_sector_energy(problem, sector)
    elif sector is not None:
        raise InputError("this kind of problem has no sectors to choose from: leave sector out")
    found = method_named(problem, _method(problem, options, method, sector))
    start = getattr(start, "lowest", start)
    if isinstance(problem, Molecule) and start is None and not lower and monitor.resume is None:
        problem = in_lowest_sector(problem, options, model)
    task = Task(problem, options, monitor, sector, model, optimizer, start, tuple(lower))
    if getattr(options, "several", False):
        return _several(task, _method(problem, options, method, sector), started)
    level = with_roofline(with_precision_check(found(task)))
    level = replace(level, warnings=(*doubts, *level.warnings, *level_warnings(level, exact)))
    if isinstance(problem, Molecule):
        level = with_sector_warnings(level, options)
    if monitor.on_level is not None:
        monitor.on_level(level)
    references = dict(getattr(problem, "references", {}))
    return Outcome(problem, (level,), references, time.monotonic() - started)


def _several(task: Task, method: str, started: float) -> Outcome:
    """Several states of a molecule."""
    from nnbf.drivers.state_levels import several_levels

    if method == "vmc":
        raise InputError("states above the lowest are found in a selected space: leave out method vmc")
    levels = several_levels(task)
    for level in levels:
        if task.monitor.on_level is not None:
            task.monitor.on_level(level)
    return Outcome(task.problem, levels, dict(task.problem.references), time.monotonic() - started)


def _method(problem: Any, options: Any, method: str | None, sector: Sector | None) -> str:
    if method not in (None, "auto"):
        return str(method)
    if sector is not None:
        return options.method_for(sector.n_states)
    return names(problem)[0]


def spectrum(
    problem: Lattice,
    sectors: Sequence[Sector],
    options: LatticeOptions | None = None,
    *,
    levels: int = 1,
    exact_limit: int = EXACT_LIMIT,
    monitor: Monitor | None = None,
    workers: int = 1,
) -> Outcome:
    """Find levels, sector by sector.

    Energies are in units of t: of kind ``full_sum`` with error 0, or ``vmc``. For levels above the lowest
    they are no bounds. The numbers do not depend on the number of processes.

    Args:
        problem: The lattice.
        sectors: Which sectors.
        options: Network, orbitals, method.
        levels: Levels of each sector.
        exact_limit: Sectors up to this many states are diagonalised beside.
        monitor: Rows, stop requests, deadline for everything (sectors that are sampled share what is left
            evenly), checkpoints; ``on_level`` is called with each level when it is done.
        workers: Processes side by side, each with one thread.

    Raises:
        InputError: A sector is too large for the method.
        FloatingPointError: Numbers ran away.
    """
    started = time.monotonic()
    options = LatticeOptions() if options is None else options
    monitor = Monitor() if monitor is None else monitor
    limits = (levels, exact_limit, monitor)
    if min(workers, len(sectors)) > 1:
        found = _side_by_side(problem, sectors, options, *limits, workers)
    else:
        found = _levels(problem, sectors, options, *limits)
    kept = []
    with contextlib.closing(found):
        for level in found:
            kept.append(level)
            if monitor.on_level is not None:
                monitor.on_level(level)
    references = [level.reference for level in kept if level.reference is not None]
    known = {"ed": min(references) if references else None}
    return Outcome(problem, tuple(kept), known, time.monotonic() - started)


def _levels(problem, sectors, options, levels, exact_limit, monitor) -> Generator[Level, None, None]:
    quiet = replace(monitor, on_level=None)
    for place, sector in enumerate(sectors):
        n_levels = min(levels, sector.n_states)
        method = options.method_for(sector.n_states)
        if method == "vmc" and n_levels > 1:
            raise InputError(f"sector {sector.label} is sampled: one level a sector, give levels 1")
        exact: np.ndarray | None = None
        failed: list[str] = []
        if sector.n_states <= exact_limit and is_affordable(problem, sector):
            find = partial(exact_levels, problem, sector, k=n_levels)
            found = extra("exact diagonalisation", find, failed.append)
            exact = None if found is None else found.energies
        known: list[Level] = []
        share = 1.0 / (len(sectors) - place) if method == "vmc" else 1.0
        for index in range(n_levels):
            if monitor.is_over or monitor.is_stopped:
                return
            watched = quiet.for_level(sector, index, share)
            if method == "vmc":
                level = solve(problem, options, sector=sector, monitor=watched).lowest
            else:
                recalled = monitor.recall and monitor.recall(problem, sector, index)
                level = recalled or _Attempts(problem, sector, options, known).best(watched, quiet.resume)
            known.append(level)
            reference = None if exact is None else float(exact[index])
            higher = level_warnings(level, reference)
            yield replace(level, reference=reference, warnings=(*level.warnings, *failed, *higher))


class _Attempts:
    """The lowest of several runs for a level; others than the first only where the first looks doubtful."""

    def __init__(self, problem: Lattice, sector: Sector, options: LatticeOptions, lower: list[Level]):
        self._problem, self._sector, self._options, self._lower = problem, sector, options, tuple(lower)

    def best(self, monitor: Monitor, saved: Any) -> Level:
        """Find the level, or take it from the snapshot of a later one of the sector."""
        number, sector = len(self._lower), self._sector
        is_later = saved is not None and saved["sector"] == sector.label and number < saved.get("level", 0)
        if is_later and "lower" in saved["driver"]:
            return self._revived(saved["driver"]["lower"][number])
        resume = monitor.resume
        first = 0 if resume is None else resume["stage"]
        best = None if resume is None or resume["best"] is None else self._revived(resume["best"])
        packed = [_packed(level) for level in self._lower]
        cut = None  # why there is more to do
        for attempt in range(first, RETRIES + 1):
            if best is not None and (monitor.is_over or monitor.is_stopped):
                cut = "interrupted" if monitor.is_stopped else "time_limit"
                break
            kept = None if best is None else _packed(best)
            found = solve(
                self._problem,
                self._options_of(attempt),
                method="full-sum",
                sector=sector,
                lower=self._lower,
                monitor=monitor.stage(attempt, best=kept, lower=packed),
            ).lowest
            found = replace(found, details={**found.details, "attempt": attempt})
            if best is None or float(found.energy) < float(best.energy):
                best = found
            if found.status in ("interrupted", "time_limit"):
                cut = found.status
                break
            if (best.energy.variance or 0.0) < _doubtful(best, self._options):
                break
        assert best is not None
        return best if cut is None else replace(best, status=cut)

    def _options_of(self, attempt: int) -> LatticeOptions:
        again = replace(self._options, seed=self._options.seed + 1000 * attempt)
        return with_determinants(self._problem, self._sector, again, len(self._lower) + attempt)

    def _revived(self, packed: Mapping[str, Any]) -> Level:
        """The level that `_packed` was given."""
        state = sector_state(self._problem, self._sector, self._options_of(packed["attempt"]))
        state.variables = unpack_tree(packed["variables"], like=state.variables)
        level = level_of_state(self._problem, self._sector, state, self._lower)
        known = {name: packed[name] for name in ("status", "n_steps", "wall_time_s")}
        details = {**level.details, "attempt": packed["attempt"]}
        return replace(level, details=details, warnings=tuple(packed["warnings"]), **known)


def _packed(level: Level) -> dict[str, Any]:
    return {
        "attempt": level.details["attempt"],
        "variables": pack_tree(level.state.variables),
        "status": level.status,
        "n_steps": level.n_steps,
        "wall_time_s": level.wall_time_s,
        "warnings": list(level.warnings),
    }


def _doubtful(level: Level, options: LatticeOptions) -> float:
    size = level.state.n_coordinates
    if level.n_parameters > size:
        return DOUBTFUL_IN_FIT
    return DOUBTFUL_IF_SMALL if size <= options.dense_limit else DOUBTFUL_VARIANCE


def with_determinants(model: Lattice, sector: Sector, options: LatticeOptions, more: int) -> LatticeOptions:
    """The options with more determinants, as far as the momentum has fillings.

    One determinant of plane waves cannot reach every state of a momentum: on configurations that a
    translation maps onto themselves its sign may be the wrong one. Higher levels need more.
    """
    if not more:
        return options
    if options.network is not None:
        return options
    present = make_lattice_ansatz(model, sector, options).backflow.orbitals[0].n_determinants
    for added in range(more, 0, -1):
        wanted = replace(options, n_determinants=present + added)
        try:
            make_lattice_ansatz(model, sector, wanted)
        except InputError:
            continue
        return wanted
    return options


#: Seconds between two looks at whether to stop, and at the steps made.
_INTERVAL = 0.5
_PATIENCE = 10.0
_SIGNALS = {signal.SIGINT, signal.SIGTERM}


def _side_by_side(
    problem, sectors, options, levels, exact_limit, monitor, workers
) -> Generator[Level, None, None]:
    """Levels without their states, sector by sector, in the order in which sectors are done.

    The largest sectors are begun first. Rows and stop requests are looked at now and then; all rows of a
    sector come before its levels. What a failed sector raises is raised here, after the others have stopped.
    """
    rounds = -(-len(sectors) // workers)
    limits = (levels, exact_limit, monitor.remaining / rounds, monitor.deadline)
    context = multiprocessing.get_context("spawn")
    stop, rows = context.Event(), _Rows(context.Queue(), monitor)
    others = set(multiprocessing.active_children())
    with (
        patch.dict(os.environ, threads_environment(1)),
        ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop, rows.queue)) as pool,
    ):
        try:
            waiting = _submitted(pool, problem, sectors, options, *limits)
            while waiting:
                done, waiting = wait(waiting, timeout=_INTERVAL, return_when=FIRST_COMPLETED)
                rows.report()
                if monitor.is_over or monitor.is_stopped:
                    stop.set()
                for future in done:
                    found, n_rows = future.result()
                    rows.wait_for(n_rows)
                    yield from found
        except BrokenProcessPool:
            # SIGTERM of a whole group of processes, as queues send it, ends the others at once.
            if not monitor.is_stopped:
                raise
        except (KeyboardInterrupt, GeneratorExit):
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            raise
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            rows.report()


def _submitted(pool, problem, sectors, *arguments) -> set[Future]:
    """Futures of all sectors. Signals wait until new processes, which inherit that, can deal with them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return {
            pool.submit(_solve, problem, sector, *arguments)
            for sector in sorted(sectors, key=lambda sector: -sector.n_states)
        }
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Rows:
    """Rows that come from other processes."""

    def __init__(self, queue: Any, monitor: Monitor):
        self.queue, self._monitor = queue, monitor
        self._counts: Counter = Counter()

    def report(self, seconds: float = 0.0) -> None:
        """Hand on the rows that are there; wait for the first."""
        with contextlib.suppress(queue.Empty):
            row = self.queue.get(timeout=seconds) if seconds else self.queue.get_nowait()
            while True:
                self._counts[row["sector"]] += 1
                if self._monitor.on_row is not None:
                    self._monitor.on_row(row)
                row = self.queue.get_nowait()

    def wait_for(self, counts: Mapping[str, int]) -> None:
        """Hand on rows until there are so many of each of these sectors: they may come after its levels."""
        given_up = time.monotonic() + _PATIENCE  # a process that was killed says nothing more
        while any(self._counts[sector] < count for sector, count in counts.items()):
            if time.monotonic() > given_up:
                break
            self.report(_INTERVAL)


_stop: Any = None
_steps: Any = None


def _begin(stop: Any, steps: Any) -> None:
    """In a new process: the first one decides when to stop, and no other outlives it."""
    global _stop, _steps
    _stop, _steps = stop, steps
    parent = multiprocessing.parent_process()
    assert parent is not None
    when_closed(parent.sentinel, lambda: os._exit(1))
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:  # as the parent has it
        keep_programs(lambda line: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _solve(problem, sector, options, levels, exact_limit, share, deadline) -> tuple[list[Level], Counter]:
    """In a process: the levels of one sector, and the number of rows."""
    counts: Counter = Counter()

    def on_row(row):
        counts[row["sector"]] += 1
        _steps.put(row)

    # Processes of one machine share the clock of the deadline.
    monitor = Monitor(on_row=on_row, should_stop=_stop.is_set, deadline=deadline).within(share)
    if monitor.is_stopped or monitor.is_over:
        return [], counts
    found = spectrum(problem, [sector], options, levels=levels, exact_limit=exact_limit, monitor=monitor)
    return [level.without_state() for level in found.levels], counts
