"""`nnbf evaluate` on the folder of a lattice run: the energy of a level from fresh samples."""

from typing import TYPE_CHECKING, Any

from nnbf.cli.console import say_error, say_warning
from nnbf.cli.evaluate import Shown
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.spectrum import conclude_spectrum
from nnbf.evaluation.options import EvaluationOptions, LatticeEvaluationOptions

if TYPE_CHECKING:
    from nnbf.runs.evaluate_lattice import EvaluatedLevel


def evaluate_level(
    folder: str, options: EvaluationOptions, of_lattice: LatticeEvaluationOptions, *, quiet: bool
) -> int:
    """Sample a level, print its energy and the table of the run, and return the exit code."""
    from nnbf.runs.evaluate_lattice import evaluate_lattice_run
    from nnbf.runs.signals import StopRequest

    shown = Shown(options, quiet=quiet)
    stop = StopRequest(announce=shown.announce_stop)
    try:
        with stop, shown.working():
            done = evaluate_lattice_run(
                folder, options, of_lattice, note=shown.note, on_round=shown.round, should_stop=stop
            )
    except FloatingPointError as error:
        say_error(f"{error}: 'nnbf resume {folder}' goes on from the last checkpoint")
        return FAILED
    for warning in done.warnings:
        say_warning(warning)
    conclude_spectrum(done.directory, done.result, facts=_facts(done))
    return DONE


def _facts(done: "EvaluatedLevel") -> list[str]:
    found, level = done.evaluation, done.level
    compared = [f"sampled     {found.energy:.6f} +/- {found.error:.1e} t (state {done.record['state']})"]
    if level["kind"] != "vmc":
        compared.append(f"full sum {level['energy']:.6f}")
    if level["reference"] is not None:
        compared.append(f"exact {level['reference']:.6f}")
    quality = [
        f"variance {found.variance:.2e} +/- {found.variance_error:.0e}",
        f"V-score {found.v_score:.2e}",
        *_of_chains(found),
    ]
    counts = [
        f"{found.n_samples:,} samples of |psi|^{found.power:g} ({found.n_unique:,} distinct",
        f"worth {found.n_effective:,.0f} of |psi|^2)",
    ]
    return ["  ".join(compared), "  ".join(quality), ", ".join(counts)]


def _of_chains(found: Any) -> list[str]:
    parts = [] if found.r_hat is None else [f"R-hat {found.r_hat:.3f}", f"tau {found.tau:.1f}"]
    return [*parts, f"acceptance {found.acceptance:.2f}"]
