"""Sample the trained wave function of a run folder, and record what comes out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, one_line
from nnbf._io import write_json
from nnbf.runs.directory import RunDirectory
from nnbf.runs.provenance import versions
from nnbf.runs.trained import TrainedState, load_trained
from nnbf.runs.truncation import with_correction

if TYPE_CHECKING:
    from nnbf.evaluation import Evaluation, EvaluationOptions, Extrapolation, Point

FILE = "evaluation.json"
"""Rounds, samples and fits, in the run folder."""

_LARGE_DIFFERENCE = 1e-3
"""From this much above `variational` (Hartree) the energy is worth a hint."""


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """A run whose trained state was sampled."""

    directory: RunDirectory
    """Its folder."""
    result: dict[str, Any]
    """The content of result.json, or what it would be if the run had ended."""
    record: dict[str, Any]
    """The content of evaluation.json."""
    evaluation: "Evaluation"
    """The sampled energy."""
    warnings: tuple[str, ...]
    """What to know about it."""


def evaluate_run(
    folder: str | Path,
    options: "EvaluationOptions | None" = None,
    *,
    note: Callable[[str], None] = lambda what: None,
    on_round: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> EvaluatedRun:
    """Sample |psi|^2 of a trained state until its energy is known, and extrapolate the run's history.

    evaluation.json is written; result.json, where the run has ended, gets the estimates `vmc` and
    `extrapolated`. The headline energy stays, unless it was a `vmc` one already.

    Args:
        folder: A run folder.
        options: Precision and limits.
        note: Told what is being done.
        on_round: Called with a row after every round of samples.
        should_stop: Asked after every round; true ends the sampling, and what there is counts.

    Raises:
        InputError: There is no trained state in the folder, or the results cannot be written.
        FloatingPointError: Its amplitudes are not finite.
    """
    from hamiltonians import irrep_bits
    from nnbf.evaluation import EvaluationOptions, make_source, sample_energy, settled_points

    options = EvaluationOptions() if options is None else options
    started = time.perf_counter()
    directory = RunDirectory.open(folder)
    trained = load_trained(directory)
    state = trained.state
    source = make_source(
        state, irrep_bits(trained.system.integrals), options, large=trained.determinants, note=note
    )
    note("sampling")
    evaluation = sample_energy(
        source,
        options,
        n_electrons=state.hamiltonian.n_electrons,
        infinite_temperature=state.hamiltonian.infinite_temperature_energy(),
        started=started,
        on_round=on_round,
        should_stop=should_stop,
    )
    before = directory.read_result_or_none()
    warnings = [*trained.notes]
    current = before is not None and trained.step in (None, before.get("n_steps"))
    if before is not None and not current:
        warnings.append(
            f"result.json is that of step {before.get('n_steps')} and stays as it is, the wave function that "
            f"of step {trained.step}: 'nnbf resume {directory.path}' brings them together"
        )
    elif before is None:
        warnings.append("the run has not ended: there is no result.json to add the energies to")
    result = dict(before) if before is not None and current else _so_far(directory)
    full_sum = _full_sum(source, options, result)
    # Stages of growth are those of the selected-space method.
    points = settled_points(directory.read_history(), result if current else None)
    fits = _fits(points)
    warnings += _doubts(evaluation, result)
    _add_estimates(result, evaluation, options, full_sum, fits, len(points))
    record = _record(evaluation, options, full_sum, fits, points, warnings, result, trained)
    try:
        write_json(directory.path / FILE, record)
        if current:
            directory.write_result(result)
    except OSError as error:
        raise InputError(
            f"{directory.path} cannot be written: {error.strerror or one_line(error)}"
        ) from error
    return EvaluatedRun(directory, result, record, evaluation, tuple(warnings))


def _so_far(directory: RunDirectory) -> dict[str, Any]:
    config = directory.read_config()
    keys = ("energy_unit", "references", "reference_notes", "truncation", "system", "method", "seed")
    return {**{key: config.get(key) for key in keys}, "estimates": {}}


def _full_sum(source: Any, options: "EvaluationOptions", result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the sum over the whole sector where that is cheap: known already, or small."""
    known = (result.get("estimates") or {}).get("full_sum")
    if known is not None:
        return dict(known)
    if source.method != "sector" or source.size > options.full_sum_limit:
        return None
    energy, variance = source.full_sum()
    return {
        "energy": energy,
        "error": 0.0,
        "upper_bound": True,
        "variance": variance,
        "n_determinants": source.size,
    }


def _fits(points: Sequence["Point"]) -> dict[str, "Extrapolation | str"]:
    from nnbf.evaluation import extrapolate

    if not points:
        missing = "the history has no settled stages of a growing variational space"
        return {"pt2": missing, "variance": missing}
    return {method: extrapolate(points, method) for method in ("pt2", "variance")}


def _add_estimates(
    result: dict[str, Any],
    evaluation: "Evaluation",
    options: "EvaluationOptions",
    full_sum: dict[str, Any] | None,
    fits: Mapping[str, "Extrapolation | str"],
    n_points: int,
) -> None:
    estimates = {key: value for key, value in result["estimates"].items() if key != "extrapolated"}
    if full_sum is not None:
        estimates["full_sum"] = full_sum
    facts = asdict(evaluation)
    del facts["rounds"]
    estimates["vmc"] = {"upper_bound": True, "seed": options.seed, **facts}
    made = {name: fit for name, fit in fits.items() if not isinstance(fit, str)}
    if made:
        # Second-order corrections are the less noisy abscissa: small where only small terms are missing.
        chosen = made.get("pt2") or made["variance"]
        estimates["extrapolated"] = {
            "energy": chosen.energy,
            "error": chosen.error,
            "upper_bound": False,
            "method": chosen.method,
            "n_points": len(chosen.x),
        }
    result["estimates"] = estimates
    if result.get("energy_kind") == "vmc":
        result["energy"], result["energy_error"] = evaluation.energy, evaluation.error
        result["variance"], result["v_score"] = evaluation.variance, evaluation.v_score
    result.update(with_correction(result))


def _doubts(evaluation: "Evaluation", result: Mapping[str, Any]) -> list[str]:
    found = []
    if evaluation.status == "time_limit":
        found.append(
            "the time limit ended the sampling before the error was small enough: give more --time-limit"
        )
    if evaluation.r_hat is not None and not evaluation.r_hat < 1.05:
        found.append(
            f"the chains do not agree yet (split R-hat {evaluation.r_hat:.3f}): the error may be too small"
        )
    variational = ((result.get("estimates") or {}).get("variational") or {}).get("energy")
    if result.get("method") != "vmc" and variational is not None:
        above = evaluation.energy - variational
        if above > max(_LARGE_DIFFERENCE, 5.0 * evaluation.error):
            found.append(
                f"psi on the whole sector lies {1e3 * above:.1f} mHa above psi on V (variational): outside V "
                "the network was not trained; --tail-steps 20 in a new run trains it there"
            )
    return found


def _record(
    evaluation: "Evaluation",
    options: "EvaluationOptions",
    full_sum: Mapping[str, Any] | None,
    fits: Mapping[str, "Extrapolation | str"],
    points: Sequence["Point"],
    warnings: Sequence[str],
    result: Mapping[str, Any],
    trained: TrainedState,
) -> dict[str, Any]:
    described = {name: {"reason": fit} if isinstance(fit, str) else asdict(fit) for name, fit in fits.items()}
    return {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "energy_unit": result.get("energy_unit"),
        "step": trained.step,
        "options": asdict(options),
        **asdict(evaluation),
        "full_sum": full_sum,
        "points": [asdict(point) for point in points],
        "extrapolations": described,
        "warnings": list(warnings),
        "versions": versions(),
    }
