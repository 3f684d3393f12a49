"""The command `nnbf spectrum`: levels of a lattice model in its symmetry sectors."""

import math
import shlex
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, one_line
from nnbf.cli.console import say_error, say_warning
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.options import parse_command
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.runs.lattice_problem import LatticeProblem, SectorChoice
from nnbf.runs.spectrum import SpectrumLimits

if TYPE_CHECKING:
    from nnbf.runs import RunDirectory
    from nnbf.runs.spectrum import SpectrumPlan

_EXAMPLES = (
    "nnbf spectrum tv --size 4x4 --particles 5 --interaction 1",
    'nnbf spectrum tv --size 6x6 --particles 5 --momenta "0,0 3,3" --irreps "B1 B2"',
    "nnbf spectrum hubbard --size 4x2 --particles 4,4 --interaction 4 --boundary apbc,pbc --spin both",
)
_PLAIN_INTERVAL = 10.0  # seconds between plain lines


@dataclass(frozen=True)
class SpectrumOutput:
    """Files and what is printed."""

    out: str | None = None
    """Run folder, new or empty; left out: runs/<model>_<size>_<time>."""
    config: str | None = None
    """TOML file with options; the command line goes before the file, the file before defaults."""
    dry_run: bool = False
    """List the sectors and their sizes, and write nothing."""
    quiet: bool = False
    """Print only the final table."""


@dataclass(frozen=True)
class SpectrumCommand:
    """Find the lowest levels of a lattice model in every symmetry sector, by symmetry-aware backflow.

    Sectors (momentum, irrep of its little group, spin flip) up to --full-sum-limit are summed completely:
    their energies are exact expectation values. Larger ones are sampled, with an error bar. Exact
    diagonalisation stands beside them where it is affordable. Energies are in units of t.
    """

    problem: LatticeProblem
    """What to solve."""
    choice: SectorChoice = field(default_factory=SectorChoice)
    """Which levels."""
    solver: LatticeOptions = field(default_factory=LatticeOptions)
    """Network, orbitals, optimiser."""
    limits: SpectrumLimits = field(default_factory=SpectrumLimits)
    """Limits."""
    output: SpectrumOutput = field(default_factory=SpectrumOutput)
    """Files and what is printed."""


def spectrum(arguments: Sequence[str]) -> int:
    """Run `nnbf spectrum` and return its exit code."""
    command = parse_command(SpectrumCommand, arguments, prog="nnbf spectrum", examples=_EXAMPLES)
    command_line = shlex.join(["nnbf", "spectrum", *arguments])
    return started_spectrum(command, command.choice, command_line)


def started_spectrum(command: Any, choice: SectorChoice, command_line: str) -> int:
    """Run what a command with a lattice problem asks for, in a new folder; return the exit code."""
    from nnbf.runs.spectrum import plan_spectrum, spectrum_config

    plan = plan_spectrum(command.problem, choice, command.solver, command.limits)
    if command.output.dry_run:
        _print_plan(plan)
        return DONE
    name = shlex.split(command_line)[1]
    config = spectrum_config(
        command.problem, choice, command.solver, command.limits, command_line, command=name
    )
    directory = begun_folder(command.output.out, command.problem, config)
    return shown_spectrum(plan, directory, config, quiet=command.output.quiet)


def resume_spectrum(folder: str, *, time_limit: float | None, quiet: bool) -> int:
    """Go on with a spectrum, and return the exit code."""
    from nnbf.runs.spectrum import resumed_spectrum

    directory, plan = resumed_spectrum(folder, time_limit)
    if not plan.remaining():
        print(f"{directory.path}: {_counted(len(plan.sectors), 'sector')} done, nothing is missing")
        return DONE
    return shown_spectrum(plan, directory, directory.read_config(), quiet=quiet)


def shown_spectrum(
    plan: "SpectrumPlan", directory: "RunDirectory", config: dict[str, Any], *, quiet: bool
) -> int:
    """Compute a spectrum, show what happens, and return the exit code."""
    from nnbf.runs import StopRequest
    from nnbf.runs.spectrum import run_spectrum

    shown = _Shown(plan, quiet=quiet)
    stop = StopRequest(announce=shown.announce_stop)
    try:
        with stop:
            result = run_spectrum(
                plan, directory, config, on_level=shown.level, on_row=shown.step, should_stop=stop
            )
    except InputError:
        raise
    except Exception as error:
        directory.write_failure(traceback.format_exc())
        say_error(
            f"the run failed: {one_line(error)}; 'nnbf resume {directory.path}' goes on "
            "with that sector, another --seed or a smaller network in a new run may help"
        )
        return FAILED
    if not result["sectors"]:
        say_warning("stopped before the first level was done")
        return DONE
    conclude_spectrum(directory, result)
    return DONE


def report_spectrum(folder: str, *, quiet: bool) -> int:
    """Draw a finished spectrum again and print its table; return the exit code."""
    from nnbf.runs import RunDirectory

    directory = RunDirectory.open(folder)
    result = directory.read_result()
    if not result["sectors"]:
        raise InputError(f"{directory.path} has no levels yet: 'nnbf resume {directory.path}' goes on")
    if quiet:
        write_plots(directory, result)
    else:
        conclude_spectrum(directory, result)
    return DONE


class _Shown:
    """A line for each level, and one now and then in between."""

    def __init__(self, plan: "SpectrumPlan", *, quiet: bool) -> None:
        self._plan, self._quiet = plan, quiet
        self._last = time.monotonic()
        self._done = len(plan.done)
        if not quiet:
            sectors, levels = _counted(len(plan.sectors), "sector"), _counted(plan.n_wanted, "level")
            print(f"{plan.model}: {sectors}, {levels}", flush=True)

    def step(self, row: dict[str, Any]) -> None:
        if self._quiet or time.monotonic() - self._last < _PLAIN_INTERVAL:
            return
        self._last = time.monotonic()
        print(
            f"  {row['sector']}, level {row['level']}: step {row['step']}  E {_with_error(row)}  "
            f"variance {row['variance']:.1e}",
            flush=True,
        )

    def level(self, record: dict[str, Any]) -> None:
        self._done += 1
        self._last = time.monotonic()
        if self._quiet:
            return
        parts = [f"[{self._done}/{self._plan.n_wanted}]", _label(record), f"E {_with_error(record)}"]
        if record["reference"] is not None:
            parts.append(f"relative error {_relative(record):.1e}")
        parts.append(f"{record['n_steps']} steps, {record['wall_time_s']:.0f} s")
        print("  ".join(parts), flush=True)
        for warning in record.get("warnings", ()):
            say_warning(f"{_label(record)}: {warning}")

    def announce_stop(self, reason: str) -> None:
        if not self._quiet:
            print(f"{reason}: stopping after this step; levels that are done are kept", flush=True)


def spectrum_table(result: dict[str, Any]) -> Any:
    """The levels as a rich table, lowest first."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("momentum", "irrep", "level"):
        table.add_column(name)
    for name in ("energy (t)", "above lowest", "relative error", "variance", "deg.", "parameters / states"):
        table.add_column(name, justify="right")
    for record in sorted(result["sectors"], key=lambda record: record["energy"]):
        exact = record["reference"]
        table.add_row(
            f"({record['momentum'][0]},{record['momentum'][1]})",
            _irrep(record),
            str(record["level"]),
            _with_error(record),
            _gap(record, result),
            "" if exact is None else f"{_relative(record):.1e}",
            f"{record['variance']:.1e}",
            str(record["degeneracy"]),
            f"{record['n_parameters']:,} / {record['n_states']:,}",
        )
    return table


def conclude_spectrum(
    directory: "RunDirectory", result: dict[str, Any], *, facts: Sequence[str] = ()
) -> None:
    """Print the levels and what belongs to them, and draw them again.

    Args:
        directory: The run folder.
        result: Content of its result.json.
        facts: Further lines.
    """
    console = table_console()
    console.print(spectrum_table(result))
    lowest = result["sector"]
    where = f"({lowest['momentum'][0]},{lowest['momentum'][1]}) {lowest['irrep'] or ''}".strip()
    bound = "an upper bound" if result["energy_kind"] == "full_sum" else "an upper bound within its error"
    energy = _with_error({"energy": result["energy"], "error": result["energy_error"]})
    lines = [
        f"lowest      {energy} t in {where} (kind {result['energy_kind']}: {bound})",
        f"status      {result['status']}, {len(result['sectors'])} of {result['n_levels_wanted']} levels",
    ]
    if lowest.get("total_spin") is not None:
        lines.append(f"total spin  determinants projected on S = {lowest['total_spin']:g}")
    lines += [*facts, *_observable_lines(result.get("observables"))]
    lines += [f"plot        {path}" for path in write_plots(directory, result)]
    if len(result["sectors"]) < result["n_levels_wanted"]:
        lines.append(f"go on with  nnbf resume {directory.path}")
    console.print("\n".join([*lines, f"run folder  {directory.path}/"]), markup=False)


def write_plots(directory: "RunDirectory", result: dict[str, Any]) -> list[Path]:
    """Draw levels, and what there is of observables, into the report folder; warn where that fails."""
    from nnbf.report.lattice import draw_correlations, draw_structure_factor
    from nnbf.report.spectrum import draw_spectrum

    figures = {}
    if len(result["sectors"]) > 1 or result["command"] == "spectrum":
        figures["spectrum"] = partial(draw_spectrum, result)
    found = result.get("observables") or {}
    for name in ("density", "spin"):
        if found.get(f"{name}_structure") is not None:
            figures[f"{name}_structure_factor"] = partial(draw_structure_factor, found[f"{name}_structure"])
    correlations = [found[name] for name in ("density", "spin") if found.get(name) is not None]
    if correlations:
        figures["correlations"] = partial(draw_correlations, *correlations)
    written: list[Path] = []
    for name, draw in figures.items():
        path = directory.report_folder / f"{name}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            draw().savefig(path)
        except OSError as error:
            say_warning(f"no plot was written ({error})")
            return written
        written.append(path)
    return written


def _observable_lines(found: dict[str, Any] | None) -> list[str]:
    if not found:
        return []
    symmetry = found["symmetry"]
    weights = [
        f"{name} {_estimate(weight)}" for name, weight in symmetry["irreps"].items() if weight["value"] > 5e-4
    ]
    mx, my = symmetry["momentum"]
    lines = [f"symmetry    ({mx},{my}), {symmetry['little_group']}: {', '.join(weights)} (weights, measured)"]
    for name, title in (
        ("s_squared", "<S^2>       "),
        ("double_occupancy", "pairs/site  "),
        ("correlation_ratio", "1-S'/S(pi)  "),
    ):
        if found.get(name) is not None:
            lines.append(f"{title}{_estimate(found[name])}")
    return lines


def _estimate(found: dict[str, Any]) -> str:
    return (
        f"{found['value']:.4f}"
        if found["error"] < 1e-10
        else _with_error({"energy": found["value"], "error": found["error"]})
    )


def _print_plan(plan: "SpectrumPlan") -> None:
    print(f"{plan.model}: {_counted(len(plan.sectors), 'sector')}")
    for sector in plan.sectors:
        method = plan.options.method_for(sector.n_states)
        print(f"  {sector.label:<24} {sector.n_states:>14,} states, degeneracy {sector.degeneracy}, {method}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def begun_folder(out: str | None, problem: LatticeProblem, config: Mapping[str, Any]) -> "RunDirectory":
    """Make the folder of a new run, with its config.json.

    Raises:
        InputError: It is not free, or cannot be written.
    """
    from nnbf.runs import RunDirectory

    directory = RunDirectory.create(out or _default_folder(problem))
    try:
        directory.write_config(config)
    except OSError as error:
        raise InputError(f"cannot write {directory.config_file}: {error.strerror or error}") from error
    return directory


def table_console() -> Any:
    """A rich console for tables: as wide as the terminal, or 120 columns."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 120
    return console


def _default_folder(problem: LatticeProblem) -> Path:
    from datetime import datetime

    name = f"{problem.model}_{problem.size}_{problem.particles}".replace(",", "-")
    return Path("runs") / f"{name}_{datetime.now():%Y%m%d-%H%M%S}"


def _label(record: dict[str, Any]) -> str:
    level = f" level {record['level']}" if record["level"] else ""
    return f"({record['momentum'][0]},{record['momentum'][1]}) {_irrep(record)}{level}".strip()


def _irrep(record: dict[str, Any]) -> str:
    parity = {None: "", 1: " even spin", -1: " odd spin"}[record["spin_flip"]]
    return f"{record['irrep'] or ''}{parity}".strip()


def _with_error(record: Mapping[str, Any]) -> str:
    """An energy with its error in brackets, where it has one."""
    error = record.get("error") or record.get("energy_error") or 0.0
    if not error:
        return f"{record['energy']:.8f}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{record['energy']:.{digits}f}({round(error * 10**digits)})"


def _gap(record: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Energy above the lowest level, with both errors."""
    gap = record["energy"] - result["energy"]
    error = 0.0 if gap == 0.0 else math.hypot(record["error"], result["energy_error"])
    return f"{gap:.6f}" if not error else _with_error({"energy": gap, "error": error})


def _relative(record: dict[str, Any]) -> float:
    return abs(record["energy"] - record["reference"]) / max(abs(record["reference"]), 1e-12)
