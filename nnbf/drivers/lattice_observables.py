"""Observables of levels that lattice drivers return."""

import numpy as np

from hamiltonians import space_group
from hamiltonians.lattice import LatticeModel
from nnbf.drivers.lattice import SectorLevel
from nnbf.drivers.lattice_vmc import SampledLevel
from nnbf.observables.lattice import LatticeObservables, lattice_observables
from nnbf.observables.lattice_samples import MOST_ENUMERATED, LogPsi, WeightedConfigurations
from nnbf.states.batches import model_at_once
from nnbf.states.lattice_sampled import log_amplitudes

#: Rounds of samples that observables of a sampled level are averaged over.
ROUNDS = 8


def amplitude_function(model: LatticeModel, level: SectorLevel | SampledLevel) -> LogPsi:
    """Complex log psi (n,) of occupations (n, modes), of the state of a level."""
    state = level.state
    chunk_size = model_at_once(state.model, model.n_sites)
    return lambda occupations: log_amplitudes(state.model, state.variables, occupations, chunk_size)


def level_configurations(model: LatticeModel, level: SectorLevel | SampledLevel) -> WeightedConfigurations:
    """Configurations with |psi|^2: all of them where there are few enough and the energy was a full sum.

    Raises:
        InputError: Too many, of a level that was not sampled.
    """
    if isinstance(level, SectorLevel):
        return WeightedConfigurations.enumerated(model, amplitude_function(model, level))
    rounds = []
    for _ in range(ROUNDS):
        level.state.reset()
        rounds.append(np.asarray(level.state.samples))
    return WeightedConfigurations.sampled(np.concatenate(rounds, axis=1))


def level_observables(model: LatticeModel, level: SectorLevel | SampledLevel) -> LatticeObservables | None:
    """Correlations, structure factors, symmetry and spin of a level.

    None for a full sum over more than `MOST_ENUMERATED` configurations.
    """
    if isinstance(level, SectorLevel) and model.n_configurations > MOST_ENUMERATED:
        return None
    return lattice_observables(
        model,
        level_configurations(model, level),
        amplitude_function(model, level),
        group=space_group(model),
        momentum=level.sector.momentum,
    )
