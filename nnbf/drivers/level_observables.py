"""Observables of levels that lattice drivers return."""

from typing import Any

from hamiltonians import space_group
from hamiltonians.lattice.model import Lattice
from nnbf.drivers.level import Level
from nnbf.evaluation import Samples
from nnbf.observables import Configurations, Observables, lattice_observables
from nnbf.observables.weighted_configurations import MOST_ENUMERATED
from nnbf.states.amplitudes import log_psi_function

#: Most samples that observables are averaged over: symmetry takes some ten amplitudes of each.
MOST_OBSERVED = 16_384


def level_configurations(model: Lattice, level: Level) -> Configurations:
    """Configurations with |psi|^2: all of them of a full sum, else the samples of the final energy.

    Raises:
        InputError: Too many, of a level that was not sampled.
    """
    if level.samples is None:
        state = level.state
        return Configurations.enumerated(model, log_psi_function(state.model, state.variables, model.n_sites))
    return Configurations.sampled(*level.samples.thinned(MOST_OBSERVED))


def level_observables(model: Lattice, level: Level) -> Observables | None:
    """Correlations, structure factors, symmetry and spin of a level.

    None for a full sum over more than `MOST_ENUMERATED` configurations.
    """
    if level.samples is None and model.n_configurations > MOST_ENUMERATED:
        return None
    assert level.sector is not None
    configurations, state = level_configurations(model, level), level.state
    return _observables(model, level.sector.momentum, configurations, state.model, state.variables)


def draws_observables(
    model: Lattice, momentum: Any, ansatz: Any, variables: Any, draws: Samples
) -> Observables:
    """The same of a state from samples of any power of |psi|."""
    configurations = Configurations.sampled(*draws.thinned(MOST_OBSERVED))
    return _observables(model, momentum, configurations, ansatz, variables)


def _observables(model, momentum, configurations, ansatz, variables):
    return lattice_observables(
        model,
        configurations,
        log_psi_function(ansatz, variables, model.n_sites),
        group=space_group(model),
        momentum=momentum,
    )
