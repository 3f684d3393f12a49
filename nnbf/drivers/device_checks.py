"""Passes on a device: single precision checked against double on every run, and the limit of their rate."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from nnbf._compute import computing, on_device, single_passes
from nnbf._devices import n_devices
from nnbf.ansatz.roofline import cost, device_peaks, most_per_second
from nnbf.drivers.level import Level
from nnbf.states import SpaceState, distinct_samples
from nnbf.states.markov_chains import hamiltonian_of

#: Differences of energies, relative to them, that single precision explains.
EXPECTED = 1e-6

#: Configurations of the chunk that operations are counted in.
_COUNTED = 256
#: Edge of matrices and length of vectors that peaks are measured with, on accelerators and on CPUs.
_LARGE, _SMALL = (4096, 1 << 26), (512, 1 << 21)


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


def with_roofline(level: Level) -> Level:
    """The level with how often a second devices could evaluate its network, where it was computed there.

    Operations and bytes of a configuration are XLA's count, the peaks of a device are measured (a second).
    """
    state = level.state
    if not on_device() or not isinstance(state, SpaceState | nk.vqs.MCState):
        return level
    size = (state.hamiltonian if isinstance(state, SpaceState) else state).hilbert.size
    flop, moved = cost(state.model, state.variables, jnp.zeros((_COUNTED, size)), single_passes())
    peaks = device_peaks(*(_LARGE if jax.default_backend() != "cpu" else _SMALL))
    most = n_devices() * most_per_second(flop, moved, peaks, single_passes())
    found = {"flop": flop, "bytes": moved, "most_per_s": most}
    return replace(level, details={**level.details, "roofline": found})


def _energy(state, level):
    if isinstance(state, SpaceState):
        return state.energy_at(state.variables)
    found = distinct_samples(state, hamiltonian_of(level.problem))
    return float(np.sum(found.shares * found.local_energies.real))
