"""Sample the trained wave function of a run folder, and record what comes out."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, one_line
from nnbf._io import write_json
from nnbf._program import typed
from nnbf.runs.directory import RunDirectory
from nnbf.runs.provenance import versions
from nnbf.runs.schema import is_molecule, load_config
from nnbf.runs.trained import load_trained
from nnbf.runs.truncation import with_correction

if TYPE_CHECKING:
    from hamiltonians import MolecularIntegrals
    from nnbf.evaluation import Evaluation, EvaluationOptions, Extrapolation, Point, Samples, SampleSource
    from nnbf.observables import Observables

FILE = "evaluation.json"
"""Rounds, samples and fits, in the run folder."""

_LARGE_DIFFERENCE = 1e-3
"""From this much above `variational` (Hartree) the energy is worth a hint."""
_FAR = 5.0  # standard errors
_AMPLITUDES = 2_000_000  # of psi, for the observables of molecules

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
    config = load_config(folder)
    if config["command"] == "charge":
        raise InputError(
            f"{directory.path} holds charge excitations: {typed('evaluate')} samples runs of "
            f"{typed('lattice')} and {typed('spectrum')}, and molecules"
        )
    options.require_for("molecules" if is_molecule(config) else "lattices")
    note("reading the run")
    trained = (_Molecule if is_molecule(config) else _Level)(directory, options, note)
    note("sampling")
    evaluation, samples = sample_energy(
        trained.source, options, started=started, on_round=on_round, should_stop=should_stop
    )
    observables = None
    if options.observables and samples is not None:
        note("observables")
        observables = trained.observables(samples)
    measured = None if observables is None else observables.record()
    found = trained.recorded(evaluation, measured)
    record = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "energy_unit": trained.source.unit,
        "options": asdict(options),
        **evaluation.record(),
        "rounds": evaluation.rounds,
        "kind": "vmc",
        "observables": measured,
        **found.more,
        "warnings": found.warnings,
        "versions": versions(),
    }
    try:
        write_json(directory.path / FILE, record)
        if found.current:
            directory.write_result(found.result)
    except OSError as error:
        raise InputError(
            f"{directory.path} cannot be written: {error.strerror or one_line(error)}"
        ) from error
    return EvaluatedRun(
        directory, found.result, record, found.level, evaluation, observables, tuple(found.warnings)
    )


@dataclass(frozen=True, eq=False)
class _Recorded:
    """Contents of files after an evaluation."""

    result: dict[str, Any]
    current: bool
    """True where ``result`` is to be written."""
    level: dict[str, Any] | None
    more: dict[str, Any]
    """For evaluation.json."""
    warnings: list[str]


class _Trained(ABC):
    """A trained state of a folder."""

    source: "SampleSource"

    @abstractmethod
    def observables(self, samples: "Samples") -> "Observables | None":
        """Return all observables, from samples; None for kinds of problems that have none."""

    @abstractmethod
    def recorded(self, evaluation: "Evaluation", observables: dict[str, Any] | None) -> _Recorded:
        """Return the contents of the files."""


class _Molecule(_Trained):
    def __init__(self, directory: RunDirectory, options: "EvaluationOptions", note: Note) -> None:
        from hamiltonians import irrep_bits
        from nnbf.evaluation import make_source

        self.directory, self.options = directory, options
        self.trained = load_trained(directory)
        irreps = irrep_bits(self.trained.system.integrals)
        self.source = make_source(
            self.trained.state, irreps, options, large=self.trained.determinants, note=note
        )

    def observables(self, samples):
        from nnbf.determinants import pack_occupations
        from nnbf.observables import molecular_observables

        state, system = self.trained.state, self.trained.system

        def log_psi(occupations):
            sign, log_abs = state.signed_log(pack_occupations(occupations))
            return log_abs + math.pi * 1j * (sign < 0)

        configurations = self.source.configurations(samples, _most_observed(system.integrals))
        return molecular_observables(system.integrals, configurations, system.properties, log_psi=log_psi)

    def recorded(self, evaluation, observables):
        directory, trained = self.directory, self.trained
        before = directory.read_result_or_none()
        warnings = [*trained.notes]
        current = before is not None and trained.step in (None, before.get("n_steps"))
        if before is not None and not current:
            warnings.append(
                f"result.json is that of step {before.get('n_steps')} and stays as it is, the wave function "
                f"that of step {trained.step}: {typed('resume', directory.path)} brings them together"
            )
        elif before is None:
            warnings.append("the run has not ended: there is no result.json to add the energies to")
        result = dict(before) if before is not None and current else _so_far(directory)
        full_sum = _full_sum(self.source, self.options, result)
        # Stages of growth are those of the selected-space method.
        points = _points(directory, result if current else None)
        fits = _fits(points)
        warnings += _doubts(evaluation) + _outside_not_trained(evaluation, result)
        add_estimates(result, evaluation, self.options.seed, full_sum, fits)
        if result.get("energy_kind") == "vmc" and observables is not None:
            _add_observables(result, observables)
        described = {
            name: {"reason": fit} if isinstance(fit, str) else asdict(fit) for name, fit in fits.items()
        }
        more = {
            "step": trained.step,
            "full_sum": full_sum,
            "points": [asdict(point) for point in points],
            "extrapolations": described,
        }
        return _Recorded(result, current, None, more, warnings)


class _Level(_Trained):
    def __init__(self, directory: RunDirectory, options: "EvaluationOptions", note: Note) -> None:
        from nnbf.evaluation import LatticeSource
        from nnbf.runs.trained_lattice import load_trained_level

        self.directory, self.options = directory, options
        self.trained = trained = load_trained_level(directory.path, options.state)
        note("thermalising the chains")
        self.source = LatticeSource(
            trained.model,
            trained.ansatz,
            trained.variables,
            options,
            sweep_size=trained.options.get("sweep_size"),
        )

    def observables(self, samples):
        from nnbf.drivers.level_observables import draws_observables

        trained = self.trained
        if trained.record.get("momentum") is None:
            return None
        momentum = tuple(trained.record["momentum"])
        return draws_observables(trained.model, momentum, trained.ansatz, trained.variables, samples)

    def recorded(self, evaluation, observables):
        old = self.trained.record
        warnings = _doubts(evaluation) + _far_from_exact(evaluation, old)
        facts = evaluation.record()
        level = {"vmc": {"upper_bound": old["upper_bound"], "seed": self.options.seed, **facts}}
        if old["kind"] == "vmc":
            own = ("energy", "error", "variance", "v_score", "r_hat", "acceptance", "n_samples")
            level |= {name: facts[name] for name in own} | {"tau_corr": facts["tau"]}
        result = _with_level(self.directory, self.trained.name, level, observables)
        more = {"state": self.trained.name, "reference": old["reference"], "extrapolations": {}}
        return _Recorded(result, True, old | level, more, warnings)


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


def _points(directory: RunDirectory, result: Mapping[str, Any] | None) -> "list[Point]":
    from nnbf.evaluation import settled_points

    return settled_points(directory.read_history(), result)


def _fits(points: Sequence["Point"]) -> dict[str, "Extrapolation | str"]:
    from nnbf.evaluation import extrapolate

    if not points:
        missing = "the history has no settled stages of a growing variational space"
        return {"pt2": missing, "variance": missing}
    return {method: extrapolate(points, method) for method in ("pt2", "variance")}


def add_estimates(
    result: dict[str, Any],
    evaluation: "Evaluation",
    seed: int,
    full_sum: dict[str, Any] | None,
    fits: Mapping[str, "Extrapolation | str"],
) -> None:
    """Add the sampled energy of a molecule, its full sum and an extrapolation to a result.

    Args:
        result: Content of result.json; changed.
        evaluation: The sampled energy.
        seed: Seed of the samples.
        full_sum: The estimate of that kind, where it is known.
        fits: Extrapolations by abscissa, or why there is none.
    """
    estimates = {key: value for key, value in result["estimates"].items() if key != "extrapolated"}
    if full_sum is not None:
        estimates["full_sum"] = full_sum
    facts = evaluation.record()
    estimates["vmc"] = {"upper_bound": True, "seed": seed, **facts}
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
        headline = {name: facts[name] for name in ("energy", "error", "variance", "v_score")}
        for level in result.get("levels", ())[:1]:
            level |= headline
        result["energy_error"] = headline.pop("error")
        result |= headline
    result.update(with_correction(result))


def _with_level(
    directory: RunDirectory, name: str, found: Mapping[str, Any], observables: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return result.json with a level anew; its headline is that of the lowest level."""
    from nnbf.runs.record import headline

    result = directory.read_result()
    levels = [{**old, **found} if directory.state_file(old).stem == name else old for old in result["levels"]]
    lowest = min(levels, key=lambda one: one["energy"])
    result |= {"levels": levels, **headline(lowest)}
    is_headline = directory.state_file(lowest).stem == name
    if is_headline and lowest["kind"] == "vmc" and observables is not None:
        _add_observables(result, observables)
    return result


def _add_observables(result: dict[str, Any], observables: Mapping[str, Any]) -> None:
    result["observables"] = observables
    result["s_squared"] = (observables.get("s_squared") or {}).get("value")


def _most_observed(integrals: "MolecularIntegrals") -> int:
    """Samples for observables: psi is needed on all single excitations of the distinct ones."""
    size = integrals.n_orbitals
    singles = sum(n * (size - n) for n in (integrals.n_alpha, integrals.n_beta))
    return min(16_384, max(1024, _AMPLITUDES // max(singles, 1)))


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
        "network was not trained; tail_steps of 20 in a new run train it there"
    ]


def _far_from_exact(evaluation: "Evaluation", record: Mapping[str, Any]) -> list[str]:
    energy, error = evaluation.energy.value, evaluation.energy.error
    found = []
    apart = abs(energy - record["energy"])
    if apart > _FAR * max(error, 1e-9) and record["kind"] == "full_sum":
        found.append(
            f"the sampled energy is {apart:.1e} t away from the full sum, {apart / error:.0f} standard "
            "errors: the chains have not seen all of the state"
        )
    exact = record.get("reference")
    if exact is not None and record["upper_bound"] and energy < exact - _FAR * error:
        found.append(f"the sampled energy lies {exact - energy:.1e} t below the exact one: do not trust it")
    return found
