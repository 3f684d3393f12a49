"""The commands that solve a Hamiltonian: `nnbf molecule` and `nnbf fcidump`."""

import shlex
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.cli._outcome import shown_run
from nnbf.cli.console import say_warning
from nnbf.cli.main import DONE
from nnbf.cli.options import parse_command

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.cli._commands import SolveFile, SolveMolecule
    from nnbf.runs import PreparedStart, Problem

_MOLECULE_EXAMPLES = (
    "nnbf molecule N2 --basis sto-3g",
    'nnbf molecule "O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587" --basis cc-pvdz --frozen-core',
    "nnbf molecule OH --basis 6-31g --charge -1 --max-space 50000 --time-limit 3600",
    'nnbf molecule ethene.xyz --basis cc-pvdz --active-space "12,12" --out runs/ethene',
    "nnbf molecule Cr2 --basis def2-svp --config chromium.toml --dry-run",
)
_FCIDUMP_EXAMPLES = (
    "nnbf fcidump H2O.FCIDUMP",
    "nnbf fcidump N2.FCIDUMP --hidden 256,256 --optimizer sr --out runs/n2_sr",
    "nnbf fcidump runs/n2_sr/system.npz --seed 1",
)


def molecule(arguments: Sequence[str]) -> int:
    """Run `nnbf molecule` and return its exit code."""
    from nnbf.cli._commands import SolveMolecule

    return _run(SolveMolecule, "molecule", arguments, _MOLECULE_EXAMPLES)


def fcidump(arguments: Sequence[str]) -> int:
    """Run `nnbf fcidump` and return its exit code."""
    from nnbf.cli._commands import SolveFile

    return _run(SolveFile, "fcidump", arguments, _FCIDUMP_EXAMPLES)


def _run(
    kind: "type[SolveMolecule] | type[SolveFile]",
    name: str,
    arguments: Sequence[str],
    examples: Sequence[str],
) -> int:
    command: Any = parse_command(kind, arguments, prog=f"nnbf {name}", examples=examples)
    command_line = shlex.join(["nnbf", name, *arguments])
    if command.run.out is not None:
        from nnbf.runs.directory import require_free

        require_free(command.run.out)  # before the time that building takes
    if command.run.start_from is not None:
        from nnbf.runs.directory import RunDirectory

        RunDirectory.open(command.run.start_from)  # likewise
    if command.run.dry_run:
        return _show_plan(command)
    return _solve(command, command_line)


def _show_plan(command: "SolveMolecule | SolveFile") -> int:
    from nnbf.cli._plan import print_plan
    from nnbf.cli._progress import Progress

    progress = Progress(command.solver, quiet=command.run.quiet)
    system = _built(command.problem, progress, references=False)
    for warning in system.info.warnings:
        say_warning(warning)
    start = _start(command, system)
    print_plan(command, system)
    if start is not None:
        print(start.text)
    return DONE


def _solve(command: "SolveMolecule | SolveFile", command_line: str) -> int:
    from nnbf.cli._progress import Progress
    from nnbf.runs import run_system

    progress = Progress(command.solver, quiet=command.run.quiet)
    system = _built(command.problem, progress)
    start = _start(command, system)
    system = system if start is None else start.system
    for warning in system.info.warnings:
        say_warning(warning)
    if start is not None and not command.run.quiet:
        print(start.text)
    run = partial(
        run_system,
        system,
        command.solver,
        out=command.run.out,
        problem=command.problem,
        method=command.run.method,
        command_line=command_line,
        checkpoint_interval=command.run.checkpoint_interval,
        on_start=progress.start,
        start_from=start,
    )
    return shown_run(run, system, progress, quiet=command.run.quiet)


def _start(command: "SolveMolecule | SolveFile", system: "Molecule") -> "PreparedStart | None":
    if command.run.start_from is None:
        return None
    from nnbf.runs import prepare_start

    return prepare_start(command.run.start_from, system, command.solver)


def _built(problem: "Problem", progress: Any, *, references: bool = True) -> "Molecule":
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
