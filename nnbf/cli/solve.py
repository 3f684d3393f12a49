"""The commands that solve a problem: molecule, fcidump, lattice, spectrum and charge, all on one path.

Words become a data class of options, that a `Job`, and that a run in a folder, whose end is shown.
"""

import contextlib
import shlex
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians import named_momenta
from hamiltonians.errors import InputError, one_line
from nnbf._text import value_with_error
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
            on_step=progress.row,
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


def _sectors_job(command: "SolveLattice | SolveSpectrum", command_line: str, progress: Progress) -> Job:
    from nnbf.runs.spectrum import plan_spectrum, spectrum_config

    name = shlex.split(command_line)[1]
    if isinstance(command, SolveLattice):
        choice = command.sector.choice(command.problem.build())
    else:
        choice = command.choice
    plan = plan_spectrum(command.problem, choice, command.solver, command.limits)

    def run(progress: Progress, stop: "StopRequest") -> Path:
        config = spectrum_config(
            command.problem, choice, command.solver, command.limits, command_line, command=name
        )
        return run_sectors(plan, _begun_folder(command, config, progress), config, progress, stop)

    return sectors_job(plan, run)


def sectors_job(plan: Any, run: "Callable[[Progress, StopRequest], Path]") -> Job:
    """Return the job of finding levels in sectors of a lattice model."""

    def lines() -> list[str]:
        return [
            f"  {sector.label:<24} {sector.n_states:>14,} states, degeneracy {sector.degeneracy}, "
            f"{plan.options.method_for(sector.n_states)}"
            for sector in plan.sectors
        ]

    title = f"{plan.model}: {counted(len(plan.sectors), 'sector')}, {counted(plan.n_wanted, 'level')}"
    return Job(title, run, n_levels=plan.n_wanted, n_done=len(plan.done), plan=lines)


def run_sectors(
    plan: Any, directory: Any, config: dict[str, Any], progress: Progress, stop: "StopRequest"
) -> Path:
    """Compute the levels that are missing in a folder, which is returned.

    Raises:
        RunError: It broke off.
    """
    from nnbf.runs.spectrum import run_spectrum

    remedy = (
        f"'nnbf resume {directory.path}' goes on with that sector, another --seed or a smaller network "
        "in a new run may help"
    )
    with stop, _supervised(directory, remedy):
        run_spectrum(plan, directory, config, on_level=progress.level, on_row=progress.row, should_stop=stop)
    return directory.path


@contextlib.contextmanager
def _supervised(directory: Any, remedy: str) -> Iterator[None]:
    """Turn an error of a run into a `RunError`, with a traceback in its folder."""
    from nnbf.runs import RunError

    try:
        yield
    except InputError:
        raise
    except Exception as error:
        directory.write_failure(traceback.format_exc())
        raise RunError(one_line(error), directory, remedy) from error


def _begun_folder(command: Any, config: dict[str, Any], progress: Progress) -> Any:
    from datetime import datetime

    from nnbf.runs import RunDirectory
    from nnbf.runs.session import cannot_write

    problem = command.problem
    name = f"{problem.model}_{problem.size}_{problem.particles}".replace(",", "-")
    out = command.run.out or Path("runs") / f"{name}_{datetime.now():%Y%m%d-%H%M%S}"
    directory = RunDirectory.create(out)
    try:
        directory.write_config(config)
    except OSError as error:
        raise cannot_write(directory.path, error) from error
    progress.begun(directory.path)
    return directory


def _charge_job(command: SolveCharge, command_line: str, progress: Progress) -> Job:
    from hamiltonians import space_group
    from nnbf.observables.quasiparticle import one_particle
    from nnbf.observables.spectral_function import neighbouring_models, particle_momenta

    model, choice = command.problem.build(), command.choice
    spin = {"up": 0, "down": 1}[choice.electron]
    models = (model, *neighbouring_models(model, spin).values())
    group = space_group(one_particle(model))
    words = named_momenta(model, choice.momenta.split())
    momenta = particle_momenta(model, [group.sector(word).momentum for word in words] or None)

    def run(progress: Progress, stop: "StopRequest") -> Path:
        from nnbf.runs.spectrum import lattice_config

        config = {
            **lattice_config(command.problem, command.solver, command_line, "charge"),
            "choice": asdict(choice),
        }
        directory = _begun_folder(command, config, progress)
        try:
            with stop, _supervised(directory, "another --seed or a smaller network may help"):
                _run_charge(command, model, momenta, spin, directory, config, progress)
        except InputError:
            directory.discard()
            raise
        return directory.path

    def lines() -> list[str]:
        return [f"  {filling}: {filling.n_configurations:,} configurations" for filling in models]

    return Job(f"{model}: {len(momenta)} momenta of a particle", run, plan=lines)


def _run_charge(
    command: SolveCharge, model: Any, momenta: Any, spin: int, directory: Any, config: Any, progress: Progress
) -> None:
    from nnbf.drivers import Monitor, charge_excitations
    from nnbf.observables.exact_excitations import exact_charge_excitations

    def record(level: Any) -> None:
        particles = list(level.problem.particles)
        row = {
            "step": history.count,
            "particles": particles,
            "sector": level.sector.label,
            "level": level.number,
            "energy": float(level.energy),
            "energy_kind": "full_sum",
            "variance": level.energy.variance,
            "status": level.status,
        }
        history.append(row)
        shown = f"N = {','.join(map(str, particles))}  {level.sector.label}"
        progress.say(f"{shown}  E {value_with_error(float(level.energy), None)}")

    with directory.history() as history:
        found = charge_excitations(
            model,
            command.solver,
            momenta=momenta,
            spin=spin,
            levels=command.choice.levels,
            monitor=Monitor(on_level=record),
        )
    exact = None
    if command.choice.exact:
        with contextlib.suppress(InputError):  # too large
            exact = exact_charge_excitations(model, momenta=momenta, spin=spin).record()
    directory.write_result(
        {**found.record(), "command": "charge", "exact": exact, "versions": config["versions"]}
    )


# ---- entries ---------------------------------------------------------------------------------------

_JOBS: dict[str, Callable[[Any, str, Progress], Job]] = {
    "molecule": _molecular_job,
    "fcidump": _molecular_job,
    "lattice": _sectors_job,
    "spectrum": _sectors_job,
    "charge": _charge_job,
}

molecule, fcidump, lattice, spectrum, charge = (partial(_solve, name) for name in _JOBS)
