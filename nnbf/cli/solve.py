"""The commands that solve a problem: molecule, fcidump, lattice, spectrum and charge, all on one path.

Words become a data class of options, that a `Job`, and that a run in a folder, whose end is shown.
"""

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.cli.commands import SOLVING, SolveCharge, SolveFile, SolveLattice, SolveMolecule, SolveSpectrum
from nnbf.cli.console import Progress, counted, say_error
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.parsing import parse_command
from nnbf.cli.report import conclude

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.runs import CompletedRun, Job


def _solve(name: str, arguments: Sequence[str]) -> int:
    kind, examples = SOLVING[name]
    command: Any = parse_command(kind, arguments, prog=f"nnbf {name}", examples=examples)
    from nnbf.runs import require_free, run_job

    options = command.run
    if options.out is not None:
        require_free(options.out)  # before the time that building takes
    limits = getattr(command, "limits", command.solver)
    progress = Progress(quiet=options.quiet, time_limit=limits.time_limit, options=kind)
    is_molecule = isinstance(command, SolveMolecule | SolveFile)
    job, more = _molecular_job(name, command, progress) if is_molecule else (_lattice_job(name, command), {})
    if options.dry_run:
        return _show_plan(job, command, progress)
    run = partial(
        run_job,
        job,
        out=options.out,
        command_line=shlex.join(["nnbf", name, *arguments]),
        on_start=lambda directory: progress.begun(directory.path),
        **more,
    )
    return shown_run(run, job, progress)


def shown_run(run: "Callable[..., CompletedRun]", job: "Job", progress: Progress, *, n_done: int = 0) -> int:
    """Run, show what happens, and return the exit code.

    Args:
        run: `run_job` or `resume_run`, with everything but callbacks for rows, levels, warnings and stops.
        job: What is computed.
        progress: Shows it.
        n_done: Levels that earlier sessions finished.

    Raises:
        KeyboardInterrupt: On a second Ctrl-C.
    """
    from nnbf.runs import RunError, StopRequest

    _announce(job, progress)
    progress.n_levels, progress.n_done = job.n_wanted, n_done
    stop = StopRequest(announce=progress.announce_stop)
    try:
        with progress.following():
            done = run(on_row=progress.row, on_level=progress.level, warn=progress.warn, stop=stop)
    except RunError as error:
        kept = error.directory.path
        remedy = progress.spelt(error.remedy)
        say_error(f"the run failed: {error}; {remedy} (history and checkpoints are kept in {kept})")
        return FAILED
    conclude(done.directory.path, progress)
    return DONE


def _announce(job: "Job", progress: Progress) -> None:
    """Print what is solved, and take the best reference for comparison."""
    from nnbf.report.energies import best_reference

    for warning in job.warnings:
        progress.warn(warning)
    progress.say(_title(job))
    best = best_reference(job.problem.references) if not job.is_lattice else None
    progress.reference = None if best is None else (best.label, best.energy)


def _title(job: "Job") -> str:
    if not job.is_lattice:
        return _described(job.problem)
    if job.n_wanted is None:
        return f"{job.problem}: a particle more and less"
    return f"{job.problem}: {counted(len(job.sectors), 'sector')}, {counted(job.n_wanted, 'level')}"


def _show_plan(job: "Job", command: Any, progress: Progress) -> int:
    """Print what would be done; nothing is computed beyond Hartree-Fock, nothing is written."""
    from nnbf.cli.plan import molecular_plan
    from nnbf.observables.spectral_function import neighbouring_models

    progress.quiet = False
    _announce(job, progress)
    if not job.is_lattice:
        lines = molecular_plan(command, job.problem)
    elif job.command == "charge":
        models = (job.problem, *neighbouring_models(job.problem, job.choice.spin).values())
        lines = [f"  {model}: {model.n_configurations:,} configurations" for model in models]
    else:
        lines = [
            f"  {sector.label:<24} {sector.n_states:>14,} states, degeneracy {sector.degeneracy}, "
            f"{job.options.method_for(sector.n_states)}"
            for sector in job.sectors
        ]
    print("\n".join([*lines, "dry run: nothing was written"]))
    return DONE


def _lattice_job(name: str, command: "SolveLattice | SolveSpectrum | SolveCharge") -> "Job":
    from nnbf.runs import Job

    model, solver = command.problem.build(), command.solver
    choice = command.sector.choice(model) if isinstance(command, SolveLattice) else command.choice
    method = "full-sum" if isinstance(command, SolveCharge) else solver.method
    return Job(name, model, solver, method, command.problem, choice, command.limits).require()


def _molecular_job(
    name: str, command: "SolveMolecule | SolveFile", progress: Progress
) -> "tuple[Job, dict[str, Any]]":
    """Return the job, and what a run needs beyond it."""
    from nnbf.runs import Job, RunDirectory, prepare_start

    options, start = command.run, None
    if options.start_from is not None:
        RunDirectory.open(options.start_from)  # before the time that building takes
    system = _built(command.problem, progress, references=not options.dry_run)
    if options.start_from is not None:
        start = prepare_start(options.start_from, system, command.solver)
        system = start.system
        progress.say(start.text)
    job = Job(name, system, command.solver, options.method, command.problem)
    return job, {"start": start, "checkpoint_interval": options.checkpoint_interval}


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


molecule, fcidump, lattice, spectrum, charge = (partial(_solve, name) for name in SOLVING)
