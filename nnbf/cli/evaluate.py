"""The command `nnbf evaluate`: the energy of a trained state by sampling, and extrapolations of its run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nnbf._text import value_with_error
from nnbf.cli.console import Progress, say_error
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.parsing import parse_command
from nnbf.cli.report import conclude
from nnbf.evaluation.evaluation_options import EvaluationOptions

if TYPE_CHECKING:
    from nnbf.runs.evaluate_run import EvaluatedRun

_EXAMPLES = (
    "nnbf evaluate runs/demo",
    "nnbf evaluate runs/demo --precision 1e-5 --time-limit 1800",
    "nnbf evaluate runs/demo --sampler metropolis --seed 1",
    "nnbf evaluate runs/tv_6x6_13 --precision 5e-4 --time-limit 3600",
)


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
    from nnbf.runs.process import StopRequest

    shown = _Rounds(quiet=command.output.quiet, time_limit=command.evaluation.time_limit)
    stop = StopRequest(announce=shown.announce_stop)
    try:
        with stop, shown.following():
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
        shown.warn(warning)
    facts = [*_of_level(done), *_facts(done), *_fits(done), *_observables(done)]
    conclude(done.directory.path, shown, result=done.result, facts=facts)
    return DONE


class _Rounds(Progress):
    """Rounds of samples as they come in."""

    def note(self, what: str) -> None:
        """Say what begins now."""
        self.show(f"{what} ...", now=True)

    def round(self, row: dict[str, Any]) -> None:
        """Show a round of samples."""
        parts = [
            f"round {row['round']}",
            f"E {value_with_error(row['energy'], row['error'])}",
            f"{row['n_samples']:,} samples",
        ]
        if "outside" in row:
            parts.append(f"weight outside {row['outside']:.1e}")
        if row["r_hat"] is not None:
            parts.append(f"R-hat {row['r_hat']:.3f}")
        if not self.console.is_terminal:
            parts.append(self.clock(row["time_s"]))
        self.show("  ".join(parts))

    def announce_stop(self, reason: str) -> None:
        """Say that a request to stop was heard."""
        self.say(f"{reason}: stopping after this round, then writing what there is")


def _of_level(done: "EvaluatedRun") -> list[str]:
    level = done.level
    if level is None:
        return []
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


def _fits(done: "EvaluatedRun") -> list[str]:
    lines = []
    for name, fit in done.record["extrapolations"].items():
        title = {"pt2": "PT2", "variance": "variance"}[name]
        if "reason" in fit:
            lines.append(f"no {title} extrapolation: {fit['reason']}")
        else:
            energy = value_with_error(fit["energy"], fit["error"])
            lines.append(f"{title} extrapolation {energy} ({len(fit['x'])} points; no bound)")
    return lines


def _observables(done: "EvaluatedRun") -> list[str]:
    if done.observables is None:
        return []
    return [f"{row[0].text}  {row[1].text} {row[2].text}".rstrip() for row in done.observables.table().rows]
