"""The energy of a molecule's whole state, from samples of the final parameters."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nnbf.drivers.level import Level
from nnbf.drivers.monte_carlo import LARGEST_R_HAT
from nnbf.evaluation import Evaluation, EvaluationOptions, Samples, SampleSource, make_source, sample_energy
from nnbf.states import SpaceState

#: Most samples of the final energy, and rounds before a precision is given up.
FINAL_SAMPLES, FEWEST_ROUNDS = 819_200, 3
#: Seconds that the final energy may take in any case.
LEAST_SECONDS = 60.0
#: Energy of the whole state (Hartree) above that on V from before it was trained outside of V, up to which
#: the training was worth it.
LARGEST_EXCESS = 1e-4
#: Warn where the chance that the next sample is a new determinant is larger than this.
LARGEST_UNSEEN = 0.3

ShouldStop = Callable[[], bool] | None


def final_energy(
    source: SampleSource, options: EvaluationOptions, should_stop: ShouldStop, time_limit: float | None = None
) -> tuple[Evaluation, Samples | None]:
    """Sample until the error is small enough; what would take too many samples is given up early.

    Args:
        source: Draws the samples.
        options: Precision and seed.
        should_stop: Asked after every round.
        time_limit: Of the optimisation before, seconds: the final energy takes no longer than that, or than
            `LEAST_SECONDS`.

    Raises:
        FloatingPointError: Local energies are not finite.
    """
    hopeless = [False]
    longest = math.inf if time_limit is None else max(time_limit, LEAST_SECONDS)

    def judge(row):
        # The error falls with the root of the samples: a precision that is out of reach is not tried for.
        needed = row["n_samples"] * (row["error"] / options.precision) ** 2
        hopeless.append(row["round"] >= FEWEST_ROUNDS and needed > FINAL_SAMPLES)

    final, draws = sample_energy(
        source,
        replace(options, time_limit=longest, samples=FINAL_SAMPLES),
        on_round=judge,
        should_stop=lambda: hopeless[-1] or (should_stop is not None and should_stop()),
    )
    # Given up by itself, it has its end: a resumption would give it up at the same round.
    return (replace(final, status="samples") if hopeless[-1] else final), draws


def with_full_state(
    level: Level,
    irreps: np.ndarray,
    precision: float,
    seed: int,
    should_stop: ShouldStop,
    time_limit: float | None = None,
) -> Level:
    """Level whose headline is the energy of the whole state: V summed exactly, what is around it sampled.

    Args:
        level: Of a state that was trained on V and around it.
        irreps: (M,) XOR codes of the orbitals' irreps (zeros where unknown).
        precision: Error at which the sampling ends, Hartree.
        seed: Of the samples.
        should_stop: Asked after every round.
        time_limit: Of the optimisation before, seconds.
    """
    state: SpaceState = level.state
    options = EvaluationOptions(
        precision=precision, seed=seed, sampler="metropolis", large=len(state.determinants)
    )
    source = make_source(state, irreps, options, large=state.determinants)
    final, draws = final_energy(source, options, should_stop, time_limit)
    return with_energy(level, final, draws, precision)


def ended_above(excess: float) -> str:
    """Warning of training outside V that was given up, by the energy (Hartree) above where it began."""
    return (
        f"training outside V ended {1e3 * excess:.2g} mHa above where it began: the state is that from "
        "before; a larger V (max_space), more steps (tail_steps) or time help, tail_steps 0 leaves it out"
    )


def with_energy(level: Level, final: Evaluation, draws: Samples | None, precision: float) -> Level:
    """Level with a sampled energy as its headline, and with what is to be said of the samples.

    Args:
        level: The level.
        final: The energy.
        draws: The samples; None where everything was summed.
        precision: Error that was asked for, Hartree.
    """
    unseen = 0.0 if draws is None else float(np.mean(draws.drawn_once))
    facts = {"acceptance": final.acceptance, "n_unique": final.n_unique, "power": final.power}
    if final.n_large is None:
        facts["unseen"] = unseen
    else:
        facts |= {"n_large": final.n_large, "outside": final.outside}
    energy = replace(final.energy, n_samples=final.n_samples, details=facts)
    warnings = list(level.warnings)
    status, message = level.status, level.message
    if final.status == "interrupted":
        status, message = "interrupted", "stopped while the final energy was sampled"
    if energy.r_hat is not None and energy.r_hat > LARGEST_R_HAT:
        warnings.append(
            f"chains of the final energy disagree (split R-hat {energy.r_hat:.2f} above {LARGEST_R_HAT})"
        )
        if status == "converged":
            status, message = "max_steps", "the final energy's chains disagree: not called converged"
    if final.n_large is None and unseen > LARGEST_UNSEEN:
        warnings.append(
            f"{100 * unseen:.0f} % of the samples are determinants drawn once: give more n_samples"
        )
    if energy.error > precision and status != "interrupted":
        warnings.append(
            f"the error of the energy, {energy.error:.1e}, is above the precision {precision:.1e}: "
            "evaluate the run for longer"
        )
    return replace(
        level,
        energy=energy,
        estimates={"vmc": energy, **level.estimates},
        v_score=final.v_score,
        status=status,
        message=message,
        warnings=tuple(dict.fromkeys(warnings)),
    )
