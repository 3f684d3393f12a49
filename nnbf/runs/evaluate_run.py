"""Sample the trained wave function of a run folder, and record what comes out."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, reason_of
from nnbf._io import write_json
from nnbf._text import typed
from nnbf.runs.directory import RunDirectory
from nnbf.runs.followers import share
from nnbf.runs.process import versions
from nnbf.runs.record import headline, with_correction
from nnbf.runs.schema import is_lattice, is_molecule
from nnbf.runs.trained import TrainedState, load_trained

if TYPE_CHECKING:
    from nnbf.evaluation import Evaluation, EvaluationOptions, Extrapolation, Samples
    from nnbf.observables import Observables

_LARGE_DIFFERENCE = 1e-3
"""From this much above `variational` (Hartree) the energy is worth a hint."""
_FAR = 5.0  # standard errors
_SMALLEST = 1e-8  # standard error: exact energies are known to about that

Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """A run whose trained state was sampled."""

    directory: RunDirectory
    """Its folder."""
    result: dict[str, Any]
    """The content of result.json, or what it would be if the run had ended."""
    record: dict[str, Any]
    """The content of evaluation.json."""
    level: dict[str, Any] | None
    """The entry of the level in result.json; None for molecules."""
    evaluation: "Evaluation"
    """The sampled energy."""
    observables: "Observables | None"
    """Observables from the same samples, where asked for."""
    warnings: tuple[str, ...]
    """Warnings, one line each."""


def evaluate_run(
    folder: str | Path,
    options: "EvaluationOptions | None" = None,
    *,
    note: Note = lambda what: None,
    on_round: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> EvaluatedRun:
    """Sample a trained state until its energy is known, and extrapolate the history of a growing space.

    evaluation.json is written; result.json, where the run has ended, gets the estimates `vmc` and
    `extrapolated`, and on lattices the entry of the level. The headline energy stays, unless it was a `vmc`
    one already.

    Args:
        folder: A run folder.
        options: Precision and limits.
        note: Told what is being done.
        on_round: Called with a row after every round of samples.
        should_stop: Asked after every round; true ends the sampling, and what there is counts.

    Raises:
        InputError: There is no trained state in the folder, options do not fit it, or the results cannot be
            written.
        FloatingPointError: Its amplitudes are not finite.
    """
    from nnbf.evaluation import EvaluationOptions, sample_energy

    options = EvaluationOptions() if options is None else options
    started = time.perf_counter()
    directory = RunDirectory.open(folder)
    config = directory.read_config()
    if config["command"] == "charge":
        raise InputError(
            f"{directory.path} holds charge excitations: {typed('evaluate')} samples runs of "
            f"{typed('lattice')} and {typed('spectrum')}, and molecules"
        )
    options.require_for("molecules" if is_molecule(config) else "lattices")
    note("reading the run")
    # Damage is found before the time that sampling takes; both are read again after it.
    directory.read_history()
    if directory.result_file.is_file():
        known = directory.read_result()
        if is_lattice(config) and known.get("n_levels_wanted") is None:  # it is to be written again, whole
            raise InputError(f"{directory.result_file} is damaged: n_levels_wanted is missing")
    trained = load_trained(directory, options.state)
    share(directory, "evaluate", options=asdict(options))
    source = _source(trained, options, note)
    note("sampling")
    evaluation, samples = sample_energy(
        source, options, started=started, on_round=on_round, should_stop=should_stop
    )
    observables = None
    if options.observables and samples is not None:
        note("observables")
        observables = _observables(trained, source, samples)
    measured = None if observables is None else observables.record()
    result, is_current, warnings = _result_of(trained)
    level = _level_of(result, trained)
    if is_molecule(config):
        idle = options.without_effect(source.method)
        warnings += [f"{name} has no effect with sampler {source.method}, which was taken" for name in idle]
    warnings += _doubts(evaluation) + _outside_not_trained(evaluation, result)
    warnings += _far_from_exact(evaluation, level, source.unit)
    more: dict[str, Any] = {"state": trained.name, "reference": level.get("reference"), "extrapolations": {}}
    full_sum: dict[str, Any] | None = None
    fits: dict[str, Extrapolation | str] = {}
    if not trained.name:
        full_sum = _full_sum(source, options, result)
        fits, points = _fits(directory, result if is_current else None)
        more = {
            "step": trained.step,
            "full_sum": full_sum,
            "points": points,
            "extrapolations": {
                name: {"reason": fit} if isinstance(fit, str) else asdict(fit) for name, fit in fits.items()
            },
        }
    add_estimates(result, evaluation, options.seed, full_sum, fits, level=level, observables=measured)
    record = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "energy_unit": source.unit,
        "options": asdict(options),
        **evaluation.record(),
        "rounds": evaluation.rounds,
        "kind": "vmc",
        "observables": measured,
        **more,
        "warnings": warnings,
        "versions": versions(),
    }
    try:
        write_json(directory.evaluation_file, record)
        if is_current:
            directory.write_result(result)
    except OSError as error:
        raise InputError(f"{directory.path} cannot be written: {reason_of(error)}") from error
    shown = level if trained.name else None
    return EvaluatedRun(directory, result, record, shown, evaluation, observables, tuple(warnings))


def _source(trained: TrainedState, options: "EvaluationOptions", note: Note) -> Any:
    from nnbf.evaluation import OperatorSource, make_source

    if not trained.name:
        from hamiltonians import irrep_bits

        irreps = irrep_bits(trained.problem.integrals)
        return make_source(trained.state, irreps, options, large=trained.determinants, note=note)
    note("thermalising the chains")
    sweep_size = trained.options.sweep_size
    return OperatorSource(trained.problem, trained.network, trained.variables, options, sweep_size=sweep_size)


def _observables(trained: TrainedState, source: Any, samples: "Samples") -> "Observables | None":
    """Return all observables, from samples; None for kinds of problems that have none."""
    problem = trained.problem
    if trained.name and trained.momentum is None:
        return None
    if trained.name:
        from nnbf.drivers.level_observables import draws_observables

        return draws_observables(problem, trained.momentum, trained.network, trained.variables, samples)
    from nnbf.drivers.level_observables import sampled_observables

    return sampled_observables(problem, trained.state, lambda most: source.configurations(samples, most))


def _result_of(trained: TrainedState) -> tuple[dict[str, Any], bool, list[str]]:
    """The result that the trained state belongs to, True where that is result.json, and warnings."""
    directory = trained.directory
    found = directory.read_result() if directory.result_file.is_file() else None
    if found is not None and trained.is_result and trained.step in (None, found["n_steps"]):
        return found, True, [*trained.notes]
    if found is None:
        warning = "the run has not ended: there is no result.json to add the energies to"
    else:
        warning = (
            f"result.json is that of step {found['n_steps']} and stays as it is, the wave function that of "
            f"step {trained.step}: {typed('resume', directory.path)} brings them together"
        )
    config = directory.read_config()
    keys = ("energy_unit", "references", "reference_notes", "truncation", "system", "method", "seed")
    so_far: dict[str, Any] = {**{key: config.get(key) for key in keys}, "estimates": {}}
    return so_far, False, [*trained.notes, warning]


def _level_of(result: Mapping[str, Any], trained: TrainedState) -> dict[str, Any]:
    """The level's entry in a result; empty where there is none yet."""
    levels = result.get("levels", ())
    if not trained.name:
        return next(iter(levels), {})
    return next(level for level in levels if trained.directory.state_file(level).stem == trained.name)


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


def _fits(
    directory: RunDirectory, result: Mapping[str, Any] | None
) -> "tuple[dict[str, Extrapolation | str], list[dict[str, Any]]]":
    """Extrapolations of the stages of a growing space by abscissa, and the stages."""
    from nnbf.evaluation import extrapolate, settled_points

    points = settled_points(directory.read_history(), result)
    fits = {method: extrapolate(points, method) for method in ("pt2", "variance")}
    return fits, [asdict(point) for point in points]


def add_estimates(
    result: dict[str, Any],
    evaluation: "Evaluation",
    seed: int,
    full_sum: dict[str, Any] | None,
    fits: "Mapping[str, Extrapolation | str]",
    *,
    level: dict[str, Any],
    observables: Mapping[str, Any] | None = None,
) -> None:
    """Add the sampled energy of a level, its full sum and an extrapolation to a result.

    Args:
        result: Content of result.json; changed.
        evaluation: The sampled energy.
        seed: Seed of the samples.
        full_sum: The estimate of that kind, where it is known.
        fits: Extrapolations by abscissa, or why there is none.
        level: The entry in ``levels`` of the result, which is changed; another dictionary where it has none.
        observables: Observables of the samples; those of the result where its headline is sampled.
    """
    facts = evaluation.record()
    level["vmc"] = {"upper_bound": level.get("upper_bound") is not False, "seed": seed, **facts}
    if level.get("kind") == "vmc":
        own = ("energy", "error", "variance", "v_score", "r_hat", "acceptance", "n_samples")
        level |= {name: facts[name] for name in own} | {"tau_corr": facts["tau"]}
    estimates = {key: value for key, value in result["estimates"].items() if key != "extrapolated"}
    if full_sum is not None:
        estimates["full_sum"] = full_sum
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
    levels = result.get("levels") or ()
    lowest = min(levels, key=lambda one: one["energy"], default=level)
    if lowest is level:
        result["estimates"] = {**estimates, "vmc": level["vmc"]}
    if levels:
        # Estimates of another level, that was the lowest before, are of no use.
        kept = result["estimates"] if len(levels) == 1 else {}
        result |= headline({**lowest, "estimates": kept})
    if lowest is level and level.get("kind") == "vmc" and observables is not None:
        result["observables"] = observables
        result["s_squared"] = (observables.get("s_squared") or {}).get("value")
    result.update(with_correction(result))


def _doubts(evaluation: "Evaluation") -> list[str]:
    """Warnings about samples that are too few."""
    found = []
    energy = evaluation.energy
    if evaluation.status == "time_limit":
        found.append(
            "the time limit ended the sampling before the error was small enough: give a larger time_limit"
        )
    # The means of short pieces differ without anything being wrong.
    half = max(1, evaluation.n_samples // (2 * (evaluation.chains or 1)))
    if energy.r_hat is not None and not energy.r_hat < max(1.05, ((half + 2) / half) ** 0.5):
        found.append(
            f"the chains do not agree yet (split R-hat {energy.r_hat:.3f}): the error may be too small"
        )
    if evaluation.n_effective < 0.05 * evaluation.n_samples:
        found.append(
            f"weights leave {evaluation.n_effective:.0f} of {evaluation.n_samples} samples: give a power "
            "nearer to 2"
        )
    return found


def _outside_not_trained(evaluation: "Evaluation", result: Mapping[str, Any]) -> list[str]:
    variational = ((result.get("estimates") or {}).get("variational") or {}).get("energy")
    if result.get("method") == "vmc" or variational is None:
        return []
    above = evaluation.energy.value - variational
    if above <= max(_LARGE_DIFFERENCE, 5.0 * evaluation.energy.error):
        return []
    return [
        f"psi on the whole sector lies {1e3 * above:.1f} mHa above psi on V (variational): outside V the "
        "network was not trained; tail_steps of 40 in a new run train it there"
    ]


def _far_from_exact(evaluation: "Evaluation", level: Mapping[str, Any], unit: str) -> list[str]:
    energy, error = evaluation.energy.value, max(evaluation.energy.error, _SMALLEST)
    found = []
    if level.get("kind") == "full_sum" and abs(energy - level["energy"]) > _FAR * error:
        apart = abs(energy - level["energy"])
        found.append(
            f"the sampled energy is {apart:.1e} {unit} away from the full sum, {apart / error:.0f} standard "
            "errors: the chains have not seen all of the state"
        )
    exact = level.get("reference")
    if exact is not None and level.get("upper_bound") and energy < exact - _FAR * error:
        found.append(
            f"the sampled energy lies {exact - energy:.1e} {unit} below the exact one: do not trust it"
        )
    return found
