"""From a problem to its energy: ``solve`` is the one call, for molecules and lattices alike."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hamiltonians import Lattice, space_group
from hamiltonians.errors import InputError
from nnbf.ansatz.orbitals import lowest_momentum
from nnbf.drivers.level import Level, Outcome
from nnbf.drivers.methods import Task, make_options, method_named, names
from nnbf.drivers.monitor import Monitor

if TYPE_CHECKING:
    from hamiltonians import Sector


def solve(
    problem: Any,
    options: Any = None,
    *,
    method: str | None = None,
    model: Any = None,
    optimizer: Any = None,
    sector: "Sector | None" = None,
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
        sector: Symmetry sector of a lattice; left out: the momentum of a lowest filling of free particles.
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
    started = time.monotonic()
    options = make_options(problem.format) if options is None else options
    monitor = (monitor or Monitor()).within(getattr(options, "time_limit", None))
    if isinstance(problem, Lattice):
        if sector is None:
            sector = space_group(problem).sector(lowest_momentum(problem), None)
    elif sector is not None:
        raise InputError("this kind of problem has no sectors to choose from: leave sector out")
    found = method_named(problem, _method(problem, options, method, sector))
    start = getattr(start, "lowest", start)
    task = Task(problem, options, monitor, sector, model, optimizer, start, tuple(lower))
    level = found(task)
    if monitor.on_level is not None:
        monitor.on_level(level)
    references = dict(getattr(problem, "references", {}))
    return Outcome(problem, (level,), references, time.monotonic() - started)


def _method(problem: Any, options: Any, method: str | None, sector: "Sector | None") -> str:
    if method not in (None, "auto"):
        return str(method)
    if sector is not None:
        return options.method_for(sector.n_states)
    return names(problem)[0]
