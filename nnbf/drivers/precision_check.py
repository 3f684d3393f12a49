"""Passes in single precision, checked on every run: the energy of the same configurations in double."""

from dataclasses import replace

import netket as nk
import numpy as np

from nnbf._compute import computing, single_passes
from nnbf.drivers.level import Level
from nnbf.states import SpaceState, distinct_samples
from nnbf.states.markov_chains import hamiltonian_of

#: Differences of energies, relative to them, that single precision explains.
EXPECTED = 1e-6


def with_precision_check(level: Level) -> Level:
    """The level with the difference that single precision makes, where it was used; a warning if it is large.

    On a space the energy is that on the whole of it, else that of one batch of samples.
    """
    state = level.state
    if not single_passes() or not isinstance(state, SpaceState | nk.vqs.MCState):
        return level
    energies = []
    for passes in ("double", "single"):
        with computing("device", passes):
            energies.append(_energy(state, level))
    difference = abs(energies[1] - energies[0])
    relative = difference / max(1.0, abs(energies[0]))
    details = {**level.details, "single_precision": {"energy_difference": difference, "relative": relative}}
    line = f"passes in single precision change an energy by {difference:.1e}"
    if not relative < EXPECTED:
        return replace(level, details=details, warnings=(*level.warnings, f"{line}: give passes double"))
    return replace(level, details=details, message=f"{level.message} {line[0].upper()}{line[1:]}.".strip())


def _energy(state, level):
    if isinstance(state, SpaceState):
        return state.energy_at(state.variables)
    found = distinct_samples(state, hamiltonian_of(level.problem))
    return float(np.sum(found.shares * found.local_energies.real))
