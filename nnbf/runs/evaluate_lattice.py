"""Sample a trained level of a lattice run, and record what comes out."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, one_line
from nnbf._io import write_json
from nnbf.runs.directory import RunDirectory
from nnbf.runs.evaluate import FILE
from nnbf.runs.provenance import versions
from nnbf.runs.spectrum import headline
from nnbf.runs.trained_lattice import TrainedLevel, load_trained_level

if TYPE_CHECKING:
    from nnbf.evaluation import EvaluationOptions, LatticeEvaluation, LatticeEvaluationOptions
    from nnbf.observables.lattice import LatticeObservables

_FAR = 5.0  # standard errors


@dataclass(frozen=True, eq=False)
class EvaluatedLevel:
    """A level of a lattice run whose trained state was sampled."""

    directory: RunDirectory
    """The folder."""
    result: dict[str, Any]
    """The content of result.json."""
    record: dict[str, Any]
    """The content of evaluation.json."""
    level: dict[str, Any]
    """The entry of the level in ``sectors`` of result.json."""
    evaluation: "LatticeEvaluation"
    """The sampled energy."""
    warnings: tuple[str, ...]
    """What to know about it."""


def evaluate_lattice_run(
    folder: str | Path,
    options: "EvaluationOptions | None" = None,
    of_lattice: "LatticeEvaluationOptions | None" = None,
    *,
    note: Callable[[str], None] = lambda what: None,
    on_round: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> EvaluatedLevel:
    """Sample a trained level by fresh chains until its energy is known.

    evaluation.json is written. In result.json the level gets ``vmc``, the sampled energy and how it was
    sampled; where the level's own energy is of kind ``vmc`` it is replaced, and its observables with it.

    Args:
        folder: Folder of a run of `nnbf lattice` or `nnbf spectrum`.
        options: Precision (units of t) and limits.
        of_lattice: Which level, and from which power of |psi|.
        note: Told what is being done.
        on_round: Called with a row after every round of samples.
        should_stop: Asked after every round; true ends the sampling, and what there is counts.

    Raises:
        InputError: There is no trained level in the folder, or the results cannot be written.
        FloatingPointError: Its amplitudes are not finite.
    """
    from nnbf.drivers.lattice_observables import draws_observables
    from nnbf.evaluation import EvaluationOptions, LatticeEvaluationOptions, evaluate_lattice_state
    from nnbf.evaluation.options import OF_MOLECULES, require_default

    options = EvaluationOptions() if options is None else options
    of_lattice = LatticeEvaluationOptions() if of_lattice is None else of_lattice
    require_default(options, OF_MOLECULES, "molecules")
    started = time.perf_counter()
    note("reading the run")
    trained = load_trained_level(folder, of_lattice.state)
    evaluation, draws = evaluate_lattice_state(
        trained.plan.model,
        trained.ansatz,
        trained.variables,
        options,
        power=of_lattice.power,
        sweep_size=trained.plan.options.sweep_size,
        started=started,
        note=note,
        on_round=on_round,
        should_stop=should_stop,
    )
    observables = None
    if of_lattice.observables:
        note("observables")
        observables = draws_observables(
            trained.plan.model, trained.sector, trained.ansatz, trained.variables, draws
        )
    warnings = _doubts(evaluation, trained.record)
    level = _evaluated(trained.record, evaluation, options)
    result = _with_level(trained, level, observables)
    record = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "energy_unit": "t",
        "state": trained.name,
        "options": {**asdict(options), **asdict(of_lattice)},
        **asdict(evaluation),
        "kind": "vmc",
        "reference": trained.record["reference"],
        "observables": None if observables is None else observables.record(),
        "extrapolations": {},
        "warnings": warnings,
        "versions": versions(),
    }
    try:
        write_json(trained.directory.path / FILE, record)
        trained.directory.write_result(result)
    except OSError as error:
        raise InputError(
            f"{trained.directory.path} cannot be written: {error.strerror or one_line(error)}"
        ) from error
    return EvaluatedLevel(trained.directory, result, record, level, evaluation, tuple(warnings))


def _evaluated(
    record: Mapping[str, Any], evaluation: "LatticeEvaluation", options: "EvaluationOptions"
) -> dict[str, Any]:
    """The entry of a level with what was sampled of it."""
    facts = asdict(evaluation)
    del facts["rounds"]
    sampled = {"upper_bound": record["upper_bound"], "seed": options.seed, **facts}
    level = {**record, "vmc": sampled}
    if record["kind"] == "vmc":
        own = ("energy", "error", "variance", "v_score", "r_hat", "acceptance", "n_samples")
        level |= {name: facts[name] for name in own} | {"tau_corr": facts["tau"]}
    return level


def _with_level(
    trained: TrainedLevel, level: dict[str, Any], observables: "LatticeObservables | None"
) -> dict[str, Any]:
    """result.json with a level anew; its headline is that of the lowest level."""
    levels = [level if old is trained.record else old for old in trained.result["sectors"]]
    lowest = min(levels, key=lambda one: one["energy"])
    result = {**trained.result, "sectors": levels, **headline(lowest)}
    if lowest is level and level["kind"] == "vmc" and observables is not None:
        found = observables.record()
        result["observables"] = found
        result["s_squared"] = (found["s_squared"] or {}).get("value")
    return result


def _doubts(evaluation: "LatticeEvaluation", record: Mapping[str, Any]) -> list[str]:
    found = []
    if evaluation.status == "time_limit":
        found.append(
            "the time limit ended the sampling before the error was small enough: give more --time-limit"
        )
    half = evaluation.n_samples // (2 * evaluation.chains)
    # The means of short pieces differ without anything being wrong.
    largest = max(1.05, ((half + 2) / max(half, 1)) ** 0.5)
    if evaluation.r_hat is not None and not evaluation.r_hat < largest:
        found.append(
            f"the chains do not agree yet (split R-hat {evaluation.r_hat:.3f}): the error may be too small"
        )
    if evaluation.n_effective < 0.05 * evaluation.n_samples:
        found.append(
            f"weights leave {evaluation.n_effective:.0f} of {evaluation.n_samples} samples: give a --power "
            "nearer to 2"
        )
    apart = abs(evaluation.energy - record["energy"])
    if apart > _FAR * max(evaluation.error, 1e-9) and record["kind"] == "full_sum":
        found.append(
            f"the sampled energy is {apart:.1e} t away from the full sum, {apart / evaluation.error:.0f} "
            "standard errors: the chains have not seen all of the state"
        )
    exact = record.get("reference")
    if exact is not None and record["upper_bound"] and evaluation.energy < exact - _FAR * evaluation.error:
        found.append(
            f"the sampled energy lies {exact - evaluation.energy:.1e} t below the exact one: do not trust it"
        )
    return found
