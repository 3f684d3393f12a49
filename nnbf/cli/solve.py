"""The commands that solve a problem, and the one that goes on with it, all on one path.

Words become a data class of options, that a `Job`, and that a run in a folder, whose end is shown.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Interval

from hamiltonians.errors import InputError, one_line
from hamiltonians.problem import load_problem
from hamiltonians.storage import SUFFIXES
from nnbf._options import Checked
from nnbf._runtime import load_netket, quick_imports
from nnbf._text import value_with_error
from nnbf.cli.commands import (
    SOLVING,
    STATES_OF_MOLECULES,
    SolveCharge,
    SolveLattice,
    SolveMolecular,
    SolveProblem,
    SolveSpectrum,
    solving_command,
)
from nnbf.cli.console import Progress, counted, say_error
from nnbf.cli.main import DONE, FAILED, typed_line
from nnbf.cli.parsing import option_fields, parse_command, with_flags
from nnbf.cli.report import conclude

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.drivers.options import SolverOptions
    from nnbf.runs import CompletedRun, Job

_SOLVE_EXAMPLES = (
    "nnbf --plugin docs/examples/heisenberg.py solve heisenberg --size 4,4",
    "NNBF_PLUGINS=docs/examples/heisenberg.py nnbf solve heisenberg --size 6,6 --method vmc",
    "nnbf --plugin docs/examples/heisenberg.py solve runs/demo/system.npz --seed 1",
)
_RESUME_EXAMPLES = ("nnbf resume runs/demo", "nnbf resume runs/demo --time-limit 3600 --max-steps 5000")


@dataclass(frozen=True)
class ResumeTarget:
    """What to go on with."""

    folder: str
    """Run folder."""


@dataclass(frozen=True)
class ResumeOptions(Checked):
    """Limits, and what is printed; everything else is as the run began."""

    max_steps: Annotated[int, Ge(1)] | None = None
    """Most optimisation steps, those made already included; left out: as before."""
    time_limit: Annotated[float, Interval(gt=0, le=math.inf)] | None = None
    """Stop optimising after this many seconds from now (inf: no limit); left out: as before, from now."""
    devices: Annotated[int, Ge(1)] | None = None
    """Devices of this machine to go on with, any number; left out: all GPUs, or the CPU as one."""
    quiet: bool = False
    """Print only the final table."""


@dataclass(frozen=True)
class ResumeCommand:
    """Go on with a run that was stopped, killed or at its limit, from its last checkpoint.

    On the same machine the outcome is bit by bit that of a run that never stopped.
    """

    target: ResumeTarget
    """What to go on with."""
    options: ResumeOptions = field(default_factory=ResumeOptions)
    """Limits, and what is printed."""


_OF_MOLECULES = ("molecule", "fcidump")
"""Words after `nnbf spectrum` and `nnbf charge` for problems that are no lattice."""


def _solve(name: str, arguments: Sequence[str]) -> int:
    kind, examples = SOLVING[name]
    if name in ("spectrum", "charge") and arguments and arguments[0] in _OF_MOLECULES:
        what, *rest = arguments
        kind, examples = SOLVING[what][0], STATES_OF_MOLECULES[name]
        return _solved(what, kind, rest, prog=f"nnbf {name} {what}", examples=examples)
    return _solved(name, kind, arguments, prog=f"nnbf {name}", examples=examples)


def solve(arguments: Sequence[str]) -> int:
    """Run `nnbf solve` and return its exit code."""
    what, *rest = arguments or ("--help",)
    if what.startswith("-"):
        parse_command(SolveProblem, arguments or ("--help",), prog="nnbf solve", examples=_SOLVE_EXAMPLES)
    problem = load_problem(what) if Path(what).suffix in SUFFIXES else None
    kind = solving_command(what if problem is None else problem.format, saved=problem is not None)
    try:
        return _solved("solve", kind, rest, prog=f"nnbf solve {what}", problem=problem)
    except InputError as error:
        raise InputError(with_flags(str(error), option_fields(kind))) from error


def _solved(
    name: str,
    kind: type,
    arguments: Sequence[str],
    *,
    prog: str,
    examples: Sequence[str] = (),
    problem: Any = None,
) -> int:
    """Parse the options of a command that solves a problem (or one from a file), and run it."""
    command: Any = parse_command(kind, arguments, prog=prog, examples=examples)
    from nnbf._devices import use_devices
    from nnbf.runs import require_free, run_job

    command = _with_states(command, prog)
    options = command.run
    use_devices(options.devices)
    if options.out is not None:
        require_free(options.out)  # before the time that building takes
    limits = getattr(command, "limits", command.solver)
    progress = Progress(quiet=options.quiet, time_limit=getattr(limits, "time_limit", None), options=kind)
    more: dict[str, Any] = {}
    if name == "solve":
        job = _general_job(command, command.problem if problem is None else problem)
        more["checkpoint_interval"] = options.checkpoint_interval
    elif isinstance(command, SolveMolecular):
        job, more = _molecular_job(name, command, progress)
    else:
        job = _lattice_job(name, command)
    if options.dry_run:
        return _show_plan(job, command, progress)
    run = partial(
        run_job,
        job,
        out=options.out,
        command_line=typed_line(*prog.split(" ")[1:], *arguments),
        on_start=lambda directory: progress.begun(directory.path),
        **more,
    )
    return _shown_run(run, job, progress)


def _with_states(command: Any, prog: str) -> Any:
    """Return a command for a molecule with the states that `nnbf spectrum` and `nnbf charge` look for."""
    word = prog.split()[1]
    if not isinstance(command, SolveMolecular) or word not in STATES_OF_MOLECULES:
        return command
    solver: SolverOptions = command.solver
    if solver.irreps or solver.spins or solver.charges or (solver.states > 1 and word == "spectrum"):
        return command
    chosen = replace(solver, irreps="all") if word == "spectrum" else replace(solver, charges="ions")
    return replace(command, solver=chosen)


def _shown_run(run: "Callable[..., CompletedRun]", job: "Job", progress: Progress, *, n_done: int = 0) -> int:
    """Call `run_job` or `resume_run` with callbacks, show what happens, and return the exit code.

    Args:
        run: One of them, with everything but callbacks for rows, levels, warnings and stops.
        job: What is computed.
        progress: Shows it.
        n_done: Levels that earlier sessions finished.
    """
    from nnbf.runs import RunError, StopRequest

    load_netket()
    with quick_imports():
        from nnbf.drivers.selected_space import make_model

    if job.is_molecule:
        make_model(job.problem, job.options)  # what it refuses is one line, before any warnings
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
    if job.is_molecule:
        return _described(job.problem)
    if not job.is_lattice:
        return f"{job.problem.title}: {job.problem.n_modes} modes, method {job.method}"
    if job.n_wanted is None:
        return f"{job.problem}: a particle more and less"
    return f"{job.problem}: {counted(len(job.sectors), 'sector')}, {counted(job.n_wanted, 'level')}"


def _general_job(command: Any, problem: Any) -> "Job":
    from nnbf.drivers.methods import method_named, names
    from nnbf.drivers.unused_options import require_effect
    from nnbf.runs import Job

    method = command.run.method or names(problem)[0]
    method_named(problem, method)
    require_effect(command.solver, (method,))
    try:
        _ = problem.n_modes
    except Exception as error:  # whatever a class of the user's may raise
        raise InputError(f"there is no Hamiltonian of {problem.title}: {one_line(error)}") from error
    return Job("solve", problem, command.solver, method, problem)


def _lattice_job(name: str, command: "SolveLattice | SolveSpectrum | SolveCharge") -> "Job":
    from nnbf.drivers.unused_options import require_effect
    from nnbf.runs import Job

    model, solver = command.problem.build(), command.solver
    method: str = solver.method
    if isinstance(command, SolveLattice):
        choice: Any = command.sector.choice(model, command.limits.exact_limit)
    else:
        choice = command.choice
    if isinstance(command, SolveCharge):
        if method == "vmc":
            raise InputError("charge excitations are made by full sums: leave out method")
        method = "full-sum"
    job = Job(name, model, solver, method, command.problem, choice, command.limits).require()
    require_effect(solver, {solver.method_for(s.n_states) for s in job.sectors} or {method})
    return job


def _molecular_job(name: str, command: SolveMolecular, progress: Progress) -> "tuple[Job, dict[str, Any]]":
    """Return the job, and what a run needs beyond it."""
    from nnbf.drivers.unused_options import require_effect
    from nnbf.runs import Job, RunDirectory, prepare_start

    options, start = command.run, None
    chooses = options.method == "auto"
    require_effect(command.solver, ("selected" if chooses else options.method,))
    if options.start_from is not None:
        RunDirectory.open(options.start_from)  # before the time that building takes
    system = _built(command.problem, progress, references=not options.dry_run)
    if options.start_from is not None:
        start = prepare_start(options.start_from, system, command.solver)
        system = start.system
        progress.say(start.text)
    elif chooses:
        from nnbf.drivers.kind_of_state import suited_run

        suited = suited_run(system, command.problem, command.solver)
        progress.say(suited.text)
        return Job(name, suited.system, suited.options, suited.method, suited.spec), {
            "checkpoint_interval": options.checkpoint_interval
        }
    method = "selected" if chooses else options.method
    job = Job(name, system, command.solver, method, command.problem)
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
    from hamiltonians.molecule.references import fci_dimension

    integrals, info = system.integrals, system.info
    name = " / ".join(part for part in (info.name or info.formula, info.basis) if part) or "system"
    group = f", {info.point_group}" if info.point_group else ""
    return (
        f"{name}: {integrals.n_electrons} electrons (2S = {integrals.two_S}) in {integrals.n_orbitals} "
        f"orbitals, {fci_dimension(integrals):,} determinants{group}"
    )


def resume(arguments: Sequence[str]) -> int:
    """Run `nnbf resume` and return its exit code."""
    command = parse_command(ResumeCommand, arguments, prog="nnbf resume", examples=_RESUME_EXAMPLES)
    from nnbf._devices import use_devices
    from nnbf.runs import plan_resumption, resume_run

    options = command.options
    use_devices(options.devices)
    plan = plan_resumption(command.target.folder, max_steps=options.max_steps, time_limit=options.time_limit)
    if plan.nothing_to_do is not None:
        print(f"{plan.directory.path}: {with_flags(plan.nothing_to_do, option_fields(ResumeCommand))}")
        return DONE
    job = plan.job
    limits = job.limits or job.options
    kind = solving_command(job.problem.format) if job.command == "solve" else SOLVING[job.command][0]
    progress = Progress(quiet=options.quiet, time_limit=getattr(limits, "time_limit", None), options=kind)
    run = partial(
        resume_run,
        plan,
        command_line=typed_line("resume", *arguments),
        on_start=lambda directory, step: progress.begun(directory.path, step),
    )
    return _shown_run(run, job, progress, n_done=plan.n_done)


# ---- dry runs ------------------------------------------------------------------------------------


def _show_plan(job: "Job", command: Any, progress: Progress) -> int:
    """Print what would be done; nothing is computed beyond Hartree-Fock, nothing is written."""
    from nnbf.observables.spectral_function import neighbouring_models

    progress.quiet = False
    job.require()
    _announce(job, progress)
    if job.is_molecule:
        lines = _molecular_plan(command, job)
    elif not job.is_lattice:
        lines = [f"  {line}" for line in _option_lines(job.options)]
    elif job.command == "charge":
        models = (job.problem, *neighbouring_models(job.problem, job.choice.spin).values())
        lines = [f"  {model}: {model.n_configurations:,} configurations" for model in models]
    else:
        lines = [
            f"  {sector.label:<24} {sector.n_states:>14,} states, degeneracy {sector.degeneracy}, "
            f"{job.options.method_for(sector.n_states)}"
            for sector in job.sectors
        ]
    from nnbf.cli.devices import placement_lines

    lines += ["devices:", *(f"  {line}" for line in placement_lines(job.options))]
    print("\n".join([*lines, "dry run: nothing was written"]))
    return DONE


def _molecular_plan(command: SolveMolecular, job: "Job") -> list[str]:
    from nnbf.runs import default_folder
    from nnbf.runs.job import folder_words

    system = job.problem
    folder = command.run.out or default_folder(folder_words(system.info))
    parts = {
        "system": _system_lines(system),
        "references": _reference_lines(command, system),
        "problem options": _option_lines(job.described),
        f"solver options (method {job.method})": _option_lines(job.options),
        "memory, roughly, with the largest V": _memory_lines(system.integrals, job.options),
        "run folder": [f"{Path(folder).expanduser()} (not made)"],
    }
    return [line for head, lines in parts.items() for line in (f"{head}:", *(f"  {text}" for text in lines))]


def _system_lines(system: "Molecule") -> list[str]:
    info, truncation = system.info, system.truncation
    lines = [f"{info.n_frozen_core} orbitals frozen"] if info.n_frozen_core else []
    if info.active_space is not None:
        electrons, orbitals = info.active_space
        lines.append(f"active space: {electrons} electrons in {orbitals} orbitals")
    if info.ecp:
        lines.append("effective core potentials: " + ", ".join(f"{a} {name}" for a, name in info.ecp))
    lines.append(f"orbitals: {info.orbitals} ({info.reference_method})")
    if truncation is None:
        return lines
    at = ", ".join(f"{truncation.kept_at(10.0**-power)} at 1e-{power}" for power in range(2, 7))
    kept, dropped = truncation.n_kept, truncation.n_dropped
    return [
        *lines,
        f"virtual natural orbitals: {kept} kept, {dropped} dropped of {truncation.n_virtual} ({at})",
        f"MP2 correction for the dropped ones: {1e3 * truncation.correction:+.4f} mHa",
    ]


def _reference_lines(command: SolveMolecular, system: "Molecule") -> list[str]:
    from hamiltonians.molecule.references import fci_dimension

    known = {name: energy for name, energy in system.references.items() if energy is not None}
    lines = [f"{name}: {value_with_error(energy, None)} Hartree" for name, energy in known.items()]
    if not command.problem.references:
        return [*lines, "no others (--no-references)"]
    if set(known) - {"hf"}:
        return [*lines, "no others: a saved system keeps its own"]
    dimension, limit = fci_dimension(system.integrals), command.problem.fci_limit
    fits = "within" if dimension <= limit else "no: above"
    return [
        *lines,
        "mp2, ccsd, ccsd_t: where affordable",
        f"fci: {fits} --fci-limit ({dimension:,} determinants, limit {limit:,})",
    ]


def _option_lines(options: Any) -> list[str]:
    lines = []
    for item in fields(options):
        value = getattr(options, item.name)
        shown = "-" if value is None else str(value)
        if isinstance(value, tuple):
            shown = ",".join(map(str, value))
        given = "" if value == item.default else "   (given)"
        lines.append(f"{item.name.replace('_', '-')} = {shown}{given}")
    return lines


def _memory_lines(integrals: Any, options: "SolverOptions") -> list[str]:
    """Estimate the large arrays from above, from the largest variational space that can arise."""
    size, n_alpha, n_beta = integrals.n_orbitals, integrals.n_alpha, integrals.n_beta
    dimension = math.comb(size, n_alpha) * math.comb(size, n_beta)
    space = min(options.largest_space(dimension), dimension)
    neighbours = n_alpha * (size - n_alpha) * n_beta * (size - n_beta)
    for n in (n_alpha, n_beta):
        neighbours += n * (size - n) + math.comb(n, 2) * math.comb(size - n, 2)
    connected = min(space * neighbours, dimension)
    parts = {
        "integrals": integrals.two_body.nbytes + integrals.one_body.nbytes,
        f"Hamiltonian on V (|V| up to {space:,})": 12 * space * min(neighbours, space),
        f"connected space (|C| up to {connected:,})": connected * (16 * math.ceil(size / 64) + 32),
        "linear systems": 3 * 8 * min(space, options.dense_limit) ** 2,
        "network on V": 2 * 8 * space * (sum(options.hidden) + 4 * size * options.n_determinants),
    }
    lines = [f"{name}: {_bytes(number)}" for name, number in parts.items()]
    return [*lines, f"together: at most about {_bytes(sum(parts.values()))}"]


def _bytes(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{max(number, 1000) / 1e3:.0f} kB"


molecule, fcidump, lattice, spectrum, charge = (partial(_solve, name) for name in SOLVING)
