"""The command `nnbf evaluate`: the energy of a trained state by sampling, and extrapolations of its run."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nnbf._text import value_with_error
from nnbf.cli.console import say_error, say_warning
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.options import parse_command
from nnbf.evaluation.evaluation_options import EvaluationOptions

if TYPE_CHECKING:
    from nnbf.runs.evaluate_run import EvaluatedRun

_EXAMPLES = (
    "nnbf evaluate runs/demo",
    "nnbf evaluate runs/demo --precision 1e-5 --time-limit 1800",
    "nnbf evaluate runs/demo --sampler metropolis --seed 1",
    "nnbf evaluate runs/tv_6x6_13 --precision 5e-4 --time-limit 3600",
)
_PLAIN_INTERVAL = 5.0  # seconds between plain lines


@dataclass(frozen=True)
class EvaluateTarget:
    """What to sample."""

    folder: str
    """Run folder; that of a run that was stopped will do."""


@dataclass(frozen=True)
class EvaluateOutput:
    """What is printed."""

    quiet: bool = False
    """Print only the table."""


@dataclass(frozen=True)
class EvaluateCommand:
    """Sample the trained wave function of a run: its energy with an error bar, variance and V-score.

    Molecules: the determinants of largest amplitude are summed exactly, the rest is sampled; energies are in
    Hartree. Lattices: all is sampled; energies are in t. Samples are of a power of |psi| that makes the error
    small.
    """

    target: EvaluateTarget
    """What to sample."""
    evaluation: EvaluationOptions = field(default_factory=EvaluationOptions)
    """How far."""
    output: EvaluateOutput = field(default_factory=EvaluateOutput)
    """What is printed."""


def evaluate(arguments: Sequence[str]) -> int:
    """Run `nnbf evaluate` and return its exit code."""
    command = parse_command(EvaluateCommand, arguments, prog="nnbf evaluate", examples=_EXAMPLES)
    from nnbf.runs.evaluate_run import evaluate_run
    from nnbf.runs.signals import StopRequest

    shown = _Shown(command.evaluation, quiet=command.output.quiet)
    stop = StopRequest(announce=shown.announce_stop)
    try:
        with stop, shown.working():
            done = evaluate_run(
                command.target.folder,
                command.evaluation,
                note=shown.note,
                on_round=shown.round,
                should_stop=stop,
            )
    except FloatingPointError as error:
        say_error(f"{error}: 'nnbf resume {command.target.folder}' goes on from the last checkpoint")
        return FAILED
    for warning in done.warnings:
        say_warning(warning)
    _conclude(done, quiet=command.output.quiet)
    return DONE


class _Shown:
    """Shows what is going on: one changing line on a terminal, a plain line now and then elsewhere."""

    def __init__(self, options: EvaluationOptions, *, quiet: bool) -> None:
        from rich.console import Console

        self._options, self._quiet = options, quiet
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._status: Any = None
        self._last_plain = float("-inf")
        self._last, self._printed = "", ""

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Show the line, and leave its last state behind."""
        if self._quiet:
            yield
            return
        if self._console.is_terminal:
            with self._console.status("reading the run ...") as self._status:
                yield
            self._status = None
        else:
            yield
        if self._last != self._printed:
            self._print(self._last)

    def note(self, what: str) -> None:
        """Say what begins now."""
        if self._status is not None:
            self._status.update(f"{what} ...")
        elif not self._quiet:
            self._print(f"{what} ...")

    def round(self, row: dict[str, Any]) -> None:
        """Show a round of samples."""
        from nnbf.cli._progress import clock

        parts = [
            f"round {row['round']}",
            f"E {value_with_error(row['energy'], row['error'])}",
            f"{row['n_samples']:,} samples",
        ]
        if "outside" in row:
            parts.append(f"weight outside {row['outside']:.1e}")
        if row["r_hat"] is not None:
            parts.append(f"R-hat {row['r_hat']:.3f}")
        parts.append(f"{clock(row['time_s'])} of {clock(self._options.time_limit)}")
        self._last = "  ".join(parts)
        if self._status is not None:
            self._status.update(self._last)
        elif not self._quiet and time.monotonic() - self._last_plain >= _PLAIN_INTERVAL:
            self._last_plain = time.monotonic()
            self._printed = self._last
            self._print(self._last)

    def announce_stop(self, reason: str) -> None:
        """Say that a request to stop was heard."""
        if not self._quiet:
            self._print(f"{reason}: stopping after this round, then writing what there is")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False)


def _conclude(done: "EvaluatedRun", *, quiet: bool) -> None:
    if done.level is not None:
        from nnbf.cli.spectrum import conclude_spectrum

        conclude_spectrum(done.directory, done.result, facts=[*_of_level(done), *_facts(done)])
        return
    from rich.console import Console

    from nnbf.cli._summary import energy_table

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 110
    console.print(energy_table(done.result))
    if quiet:
        return
    plot = None
    try:
        from nnbf.report import write_report

        plot = write_report(done.directory.path).plot.with_name("extrapolation.png")
    except (ImportError, OSError) as error:
        say_warning(f"no report was written ({error}): try 'nnbf report {done.directory.path}'")
    console.print("\n".join([*_facts(done), *_fits(done, plot)]), markup=False)


def _of_level(done: "EvaluatedRun") -> list[str]:
    level = done.level or {}
    compared = [f"sampled     {done.evaluation.energy}, state {done.record['state']}"]
    if level["kind"] != "vmc":
        compared.append(f"full sum {level['energy']:.6f}")
    if level["reference"] is not None:
        compared.append(f"exact {level['reference']:.6f}")
    return ["  ".join(compared)]


def _facts(done: "EvaluatedRun") -> list[str]:
    found = done.evaluation
    of_power = "" if found.power is None else f" of |psi|^{found.power:g}"
    worth = f"worth {found.n_effective:,.0f} of |psi|^2"
    distinct = f"{found.n_unique:,} distinct"
    if found.outside is None:
        counts = [f"{found.n_samples:,} samples{of_power} ({distinct}, {worth})"]
    else:
        counts = [
            f"{found.n_large:,} determinants summed exactly",
            f"{found.n_samples:,} samples{of_power} ({distinct}, weight outside {found.outside:.2e})",
        ]
    quality = [f"variance {value_with_error(found.variance.value, found.variance.error)}"]
    quality.append(f"V-score {found.v_score:.2e}")
    if found.energy.r_hat is not None:
        quality += [f"R-hat {found.energy.r_hat:.3f}", f"tau {found.energy.tau:.1f}"]
    quality.append("independent samples" if found.chains is None else f"acceptance {found.acceptance:.2f}")
    lines = ["  ".join(counts), "  ".join(quality)]
    if found.energy.error > 0 and found.outside is not None:
        lines.append(f"a plain average of E_loc would need {found.plain_samples:.1e} samples for this error")
    return lines


def _fits(done: "EvaluatedRun", plot: Any) -> list[str]:
    lines = []
    for name, fit in done.record["extrapolations"].items():
        title = {"pt2": "PT2", "variance": "variance"}[name]
        if "reason" in fit:
            lines.append(f"no {title} extrapolation: {fit['reason']}")
        else:
            energy = value_with_error(fit["energy"], fit["error"])
            lines.append(f"{title} extrapolation {energy} ({len(fit['x'])} points; no bound)")
    if plot is not None and plot.is_file():
        lines.append(f"plot        {plot}")
    return [*lines, f"run folder  {done.directory.path}/"]
