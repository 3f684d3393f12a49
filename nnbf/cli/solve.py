"""The commands that solve a problem: molecule, fcidump, lattice, spectrum and charge, all on one path.

Words become a data class of options, that a `Job`, and that a run in a folder, whose end is shown.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.cli.commands import SOLVING, SolveCharge, SolveFile, SolveLattice, SolveMolecule, SolveSpectrum
from nnbf.cli.console import Progress, counted, say_error
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.options import parse_command
from nnbf.cli.report import conclude

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.runs import StopRequest


# ---- the path of all of them -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Job:
    """A calculation that is about to start or to go on."""

    title: str
    """One line on what is solved."""
    run: "Callable[[Progress, StopRequest], Path]"
    """Computes in a folder, which it returns once its result is written."""
    warnings: tuple[str, ...] = ()
    """Warnings about the problem, one line each."""
    reference: tuple[str, float] | None = None
    """Label and value of the energy that steps are compared with."""
    n_levels: int = 1
    """Levels that are wanted."""
    n_done: int = 0
    """Levels that an earlier session finished."""
    plan: "Callable[[], list[str]]" = list
    """Lines that a dry run shows."""


def _solve(name: str, arguments: Sequence[str]) -> int:
    kind, examples = SOLVING[name]
    command: Any = parse_command(kind, arguments, prog=f"nnbf {name}", examples=examples)
    if command.run.out is not None:
        from nnbf.runs import require_free

        require_free(command.run.out)  # before the time that building takes
    limits = getattr(command, "limits", command.solver)
    time_limit = getattr(limits, "time_limit", None)
    progress = Progress(quiet=command.run.quiet, time_limit=time_limit, options=kind)
    job = _JOBS[name](command, shlex.join(["nnbf", name, *arguments]), progress)
    if not command.run.dry_run:
        return shown_run(job, progress)
    for warning in job.warnings:
        progress.warn(warning)
    print("\n".join([job.title, *job.plan(), "dry run: nothing was written"]))
    return DONE


def shown_run(job: Job, progress: Progress) -> int:
    """Run a job, show what happens, and return the exit code.

    Raises:
        KeyboardInterrupt: On a second Ctrl-C.
    """
    from nnbf.runs import RunError, StopRequest

    for warning in job.warnings:
        progress.warn(warning)
    progress.say(job.title)
    progress.reference, progress.n_levels, progress.n_done = job.reference, job.n_levels, job.n_done
    try:
        with progress.following():
            folder = job.run(progress, StopRequest(announce=progress.announce_stop))
    except RunError as error:
        kept = error.directory.path
        remedy = progress.spelt(error.remedy)
        say_error(f"the run failed: {error}; {remedy} (history and checkpoints are kept in {kept})")
        return FAILED
    conclude(folder, progress)
    return DONE


# ---- molecules ------------------------------------------------------------------------------------


def _molecular_job(command: "SolveMolecule | SolveFile", command_line: str, progress: Progress) -> Job:
    from nnbf.cli.plan import molecular_plan
    from nnbf.runs import RunDirectory, prepare_start, run_system

    options = command.run
    if options.start_from is not None:
        RunDirectory.open(options.start_from)  # before the time that building takes
    system = _built(command.problem, progress, references=not options.dry_run)
    start = None
    if options.start_from is not None:
        start = prepare_start(options.start_from, system, command.solver)
        system = start.system

    def run(progress: Progress, stop: "StopRequest") -> Path:
        done = run_system(
            system,
            command.solver,
            out=options.out,
            problem=command.problem,
            method=options.method,
            command_line=command_line,
            checkpoint_interval=options.checkpoint_interval,
            on_start=lambda directory: progress.begun(directory.path),
            on_row=progress.row,
            warn=progress.warn,
            stop=stop,
            start_from=start,
        )
        return done.directory.path

    said = [] if start is None else [start.text]
    job = molecular_job(system, run, plan=lambda: [*molecular_plan(command, system), *said])
    return job if start is None or options.quiet else replace(job, title=f"{job.title}\n{start.text}")


def molecular_job(system: "Molecule", run: "Callable[[Progress, StopRequest], Path]", **more: Any) -> Job:
    """Return the job of running a molecule or FCIDUMP file."""
    from nnbf.report.energies import best_reference

    best = best_reference(system.references)
    reference = None if best is None else (best.label, best.energy)
    return Job(_described(system), run, system.info.warnings, reference, **more)


def _built(problem: Any, progress: Progress, *, references: bool) -> "Molecule":
    what = "Hartree-Fock, integrals and reference energies" if references else "Hartree-Fock"
    try:
        with progress.working(what):
            return problem.build(references=references)
    except MemoryError as error:
        raise InputError(
            "this does not fit into memory: give a smaller basis, --frozen-core or --active-space"
        ) from error
    except ImportError as error:
        raise InputError(
            f"{error.name or error} is not installed, and building this needs it: install it, "
            "or build the system where it is and give its system.npz to 'nnbf fcidump'"
        ) from error


def _described(system: "Molecule") -> str:
    from hamiltonians.molecule.fci import fci_dimension

    integrals, info = system.integrals, system.info
    name = " / ".join(part for part in (info.name or info.formula, info.basis) if part) or "system"
    group = f", {info.point_group}" if info.point_group else ""
    return (
        f"{name}: {integrals.n_electrons} electrons (2S = {integrals.two_S}) in {integrals.n_orbitals} "
        f"orbitals, {fci_dimension(integrals):,} determinants{group}"
    )


# ---- lattices -------------------------------------------------------------------------------------


def _lattice_job(
    command: "SolveLattice | SolveSpectrum | SolveCharge", command_line: str, progress: Progress
) -> Job:
    from nnbf.runs import job as jobs
    from nnbf.runs import run_job

    model, solver = command.problem.build(), command.solver
    choice = command.sector.choice(model) if isinstance(command, SolveLattice) else command.choice
    name = shlex.split(command_line)[1]
    method = "full-sum" if name == "charge" else solver.method
    job = jobs.Job(name, model, solver, method, command.problem, choice, command.limits).require()

    def run(progress: Progress, stop: "StopRequest") -> Path:
        done = run_job(
            job,
            out=command.run.out,
            command_line=command_line,
            on_start=lambda directory: progress.begun(directory.path),
            on_row=progress.row,
            on_level=progress.level,
            warn=progress.warn,
            stop=stop,
        )
        return done.directory.path

    return lattice_job(job, run)


def lattice_job(job: Any, run: "Callable[[Progress, StopRequest], Path]", n_done: int = 0) -> Job:
    """Return the job of finding levels of a lattice (`nnbf.runs.Job`)."""
    if job.command == "charge":
        return _charge_job(job, run)

    def lines() -> list[str]:
        return [
            f"  {sector.label:<24} {sector.n_states:>14,} states, degeneracy {sector.degeneracy}, "
            f"{job.options.method_for(sector.n_states)}"
            for sector in job.sectors
        ]

    title = f"{job.problem}: {counted(len(job.sectors), 'sector')}, {counted(job.n_wanted, 'level')}"
    return Job(title, run, n_levels=job.n_wanted, n_done=n_done, plan=lines)


def _charge_job(job: Any, run: "Callable[[Progress, StopRequest], Path]") -> Job:
    def lines() -> list[str]:
        from nnbf.observables.spectral_function import neighbouring_models

        models = (job.problem, *neighbouring_models(job.problem, job.choice.spin).values())
        return [f"  {filling}: {filling.n_configurations:,} configurations" for filling in models]

    momenta = job.choice.particle_momenta(job.problem)
    return Job(f"{job.problem}: {len(momenta)} momenta of a particle", run, n_levels=0, plan=lines)


# ---- entries ---------------------------------------------------------------------------------------

_JOBS: dict[str, Callable[[Any, str, Progress], Job]] = {
    "molecule": _molecular_job,
    "fcidump": _molecular_job,
    "lattice": _lattice_job,
    "spectrum": _lattice_job,
    "charge": _lattice_job,
}

molecule, fcidump, lattice, spectrum, charge = (partial(_solve, name) for name in _JOBS)
