"""Entry point of the program: finds the command, and turns errors into one line and an exit code."""

import gc
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from hamiltonians.errors import InputError, nearest_names
from nnbf import _processes
from nnbf._caches import keep_programs
from nnbf._runtime import (
    BEFORE_COMMANDS,
    OWNED,
    load_netket,
    prepare_process,
    quick_imports,
    repeat_lost_interrupts,
    stop_with_parent,
)

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""


@dataclass(frozen=True)
class Command:
    """A word after `nnbf`."""

    usage: str
    """Words that follow it."""
    summary: str
    """One line for the overview."""
    module: str
    """Module whose function of the command's name takes the arguments and returns an exit code."""
    options: str
    """Place of its options: module and data class."""


COMMANDS = {
    "molecule": Command(
        "MOLECULE --basis B",
        "ground state of a molecule, next to HF ... FCI",
        "nnbf.cli.solve",
        "nnbf.cli.commands:SolveMolecule",
    ),
    "fcidump": Command(
        "FILE",
        "the same for a FCIDUMP file, or a saved system (.npz, .h5)",
        "nnbf.cli.solve",
        "nnbf.cli.commands:SolveFile",
    ),
    "lattice": Command(
        "{tv,hubbard} --size 6x6 --particles 13",
        "one state of a lattice model, by its momentum and irrep",
        "nnbf.cli.solve",
        "nnbf.cli.commands:SolveLattice",
    ),
    "spectrum": Command(
        "{tv,hubbard} --size 4x4 --particles 5",
        "levels of a lattice model by momentum and irrep",
        "nnbf.cli.solve",
        "nnbf.cli.commands:SolveSpectrum",
    ),
    "charge": Command(
        "{tv,hubbard} --size 4x4 --particles 5",
        "adding and removing a particle: gap, quasiparticle weights",
        "nnbf.cli.solve",
        "nnbf.cli.commands:SolveCharge",
    ),
    "solve": Command(
        "{NAME,FILE} [OPTIONS]",
        "one state of a problem that a plug-in registers",
        "nnbf.cli.solve",
        "nnbf.cli.commands:SolveProblem",
    ),
    "resume": Command(
        "DIR",
        "go on with a run that was stopped, killed or at its limit",
        "nnbf.cli.solve",
        "nnbf.cli.solve:ResumeCommand",
    ),
    "evaluate": Command(
        "DIR",
        "sample the trained state: energy with an error bar, extrapolations",
        "nnbf.cli.report",
        "nnbf.cli.report:EvaluateCommand",
    ),
    "response": Command(
        "DIR --operator O",
        "absorption, ionisation, S(q, omega), A(k, omega), conductivity of a trained state",
        "nnbf.cli.response",
        "nnbf.cli.response:ResponseCommand",
    ),
    "report": Command(
        "DIR [DIR ...]",
        "report of a run again, or one over many runs and sweeps",
        "nnbf.cli.report",
        "nnbf.cli.report:ReportCommand",
    ),
    "devices": Command(
        "",
        "the devices that runs compute with, and how they are used",
        "nnbf.cli.devices",
        "nnbf.cli.devices:DevicesCommand",
    ),
    "sweep": Command(
        "MANIFEST",
        "many runs: molecules, geometries, basis sets, seeds; one table",
        "nnbf.cli.sweep",
        "nnbf.cli.sweep:SweepCommand",
    ),
}


_TOGETHER = ("molecule", "fcidump", "lattice", "spectrum", "charge", "solve", "resume", "evaluate", "devices")
"""Commands that several processes carry out together."""


def typed_line(*words: str) -> str:
    """Return a command line of the program, with the plug-ins of this call."""
    return shlex.join(["nnbf", *BEFORE_COMMANDS, *words])


_OVERVIEW = """\
usage: nnbf [--plugin FILE] COMMAND ... [OPTIONS]

Ground states of interacting electrons from neural backflow wave functions.

commands:
{commands}

  nnbf COMMAND --help   what to give, all options and their defaults
  nnbf --version        the version
  nnbf --plugin FILE.py COMMAND ...
                        load a file (or module) that registers problems or networks; also NNBF_PLUGINS=FILE.py

examples:
  nnbf molecule N2 --basis sto-3g
  nnbf molecule "N 0 0 0; N 0 0 1.4" --basis cc-pvdz --frozen-core --time-limit 600
  nnbf molecule O2 --basis 6-31g --spin 2 --dry-run
  nnbf fcidump H2O.FCIDUMP --out runs/water --seed 1
  nnbf resume runs/water --time-limit 3600
  nnbf evaluate runs/water --precision 1e-5
  nnbf lattice tv --size 6x6 --particles 13 --interaction 1 --time-limit 1800
  nnbf spectrum tv --size 4x4 --particles 5 --interaction 1
  nnbf --plugin docs/examples/heisenberg.py solve heisenberg --size 4,4
  nnbf response runs/water --operator dipole
  nnbf report runs/*
  nnbf sweep runs/n2_curve.toml --workers 2

Energies are in Hartree, lengths in angstrom, times in seconds. A run writes a folder (runs/...) with its
configuration, history, result, wave function and report. Exit codes: 0 done, 1 failed, 2 bad input,
130 ended at once by Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: What follows `nnbf`; by default that of the process.

    Returns:
        0 when done, 1 when a run failed (and says how to go on), 2 for bad input (nothing written), 130 where
        Ctrl-C has ended it at once.
    """
    if arguments is None:
        OWNED.append(True)
        stop_with_parent()
        repeat_lost_interrupts()
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = _code_of(words, is_program=arguments is None)
    if _processes.count() > 1:
        _processes.leave(code)
    return code


def _code_of(words: list[str], *, is_program: bool) -> int:
    try:
        return _dispatch(words)
    except InputError as error:
        _say_error(str(error))
        return BAD_INPUT
    except SystemExit as stop:  # the help text of a command
        return stop.code if isinstance(stop.code, int) else DONE
    except KeyboardInterrupt:
        if is_program:  # it is heard: another one is no error
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _say_error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `nnbf ... | head`
        sys.stderr.close()
        return FAILED
    finally:
        if is_program:  # nothing is left but to tidy up: a late Ctrl-C is no error
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            gc.freeze()  # nor is looking for garbage of use


def _say_error(message: str) -> None:
    from nnbf.cli.console import say_error  # which imports more than --help needs

    say_error(message)


def _say_warning(message: str) -> None:
    from nnbf.cli.console import say_warning

    say_warning(message)


def _dispatch(words: list[str]) -> int:
    BEFORE_COMMANDS.clear()
    while words and words[0].partition("=")[0] == "--plugin":
        _, equals, file = words.pop(0).partition("=")
        if not equals:
            file = words.pop(0) if words else ""
        _use_plugin(file)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        return DONE
    if words[0] in ("-V", "--version", "version"):
        from nnbf.runs.process import program_version

        print(f"nnbf {program_version()}")
        return DONE
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        close = nearest_names(name, COMMANDS)
        known = ", ".join(COMMANDS)
        kind = "option" if name.startswith("-") else "command"
        hint = f"did you mean {close[0]!r}? The commands are {known}" if close else f"give one of {known}"
        raise InputError(f"unknown {kind} {name!r}: {hint}")
    prepare_process(partial(_join, rest) if name in _TOGETHER else lambda: None)
    keep_programs(_say_warning)
    with quick_imports():
        run: Callable[[list[str]], int] = getattr(import_module(COMMANDS[name].module), name)
    if not _processes.is_first():
        from nnbf.runs.followers import follow

        return follow()
    try:
        return run(rest)
    except InputError as error:
        raise InputError(_spelt(str(error), name)) from error


def _join(words: list[str]) -> None:
    """Join the processes of this calculation, if it has several, each with its devices."""
    _processes.join()
    if _processes.count() > 1:
        from nnbf._devices import use_devices

        # Here, for all: the others do not read what follows, and each waits for the devices of all.
        given = re.search(r"(?:^| )--devices[ =](\d{1,4})(?: |$)", " ".join(words))
        use_devices(int(given[1]) if given else None)
        load_netket()


def _use_plugin(given: str) -> None:
    """Load a plug-in, here and in the processes that are started from here."""
    from hamiltonians.plugins import VARIABLE, load_plugin

    if not given:
        raise InputError("--plugin has no value: give a file that ends in .py, or a module")
    load_plugin(given)
    BEFORE_COMMANDS.extend(("--plugin", given))
    word = str(Path(given).expanduser().resolve()) if given.endswith(".py") else given
    known = [known for known in os.environ.get(VARIABLE, "").split(os.pathsep) if known not in ("", word)]
    os.environ[VARIABLE] = os.pathsep.join([*known, word])


def _spelt(message: str, name: str) -> str:
    """Return a message with fields of a command's options as its flags."""
    from nnbf._options import Option
    from nnbf.cli.parsing import option_fields, with_flags

    module, _, kind = COMMANDS[name].options.partition(":")
    plugin = {"plugin": Option("plugin", str)}
    return with_flags(message, plugin | option_fields(getattr(import_module(module), kind)))


def overview() -> str:
    """Return the text of `nnbf --help`."""
    heads = {name: f"{name} {command.usage}".rstrip() for name, command in COMMANDS.items()}
    width = max(map(len, heads.values()))
    lines = [f"  {heads[name]:<{width}}  {COMMANDS[name].summary}" for name in COMMANDS]
    return _OVERVIEW.format(commands="\n".join(lines))
