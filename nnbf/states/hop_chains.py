"""Metropolis chains of lattice states, for any power of |psi|."""

from typing import Any

import jax.numpy as jnp
import netket as nk
import numpy as np

from hamiltonians.lattice.model import Lattice
from nnbf.operators import LatticeHamiltonian
from nnbf.sampling import HopRule
from nnbf.states.amplitudes import model_at_once

#: Sweeps before samples are used after another power of |psi|.
ADJUSTMENT = 16


def lattice_sampler(
    model: Lattice, ansatz: Any, n_chains: int, *, sweep_size: int | None = None, power: float = 2.0
) -> nk.sampler.MetropolisSampler:
    """Metropolis chains of |psi|^power with :class:`~nnbf.sampling.HopRule`.

    Args:
        model: The lattice model.
        ansatz: The state: says how many configurations a network evaluates at once.
        n_chains: Number of chains.
        sweep_size: Proposals between two samples of a chain; default one for each particle, at least 8.
        power: Of |psi|.
    """
    at_once = model_at_once(ansatz, model.n_sites)
    return nk.sampler.MetropolisSampler(
        LatticeHamiltonian(model).hilbert,
        HopRule(model),
        n_chains=n_chains,
        sweep_size=sweep_size or max(model.n_particles, 8),
        chunk_size=None if at_once >= n_chains else at_once,
        dtype=np.int8,
        machine_pow=jnp.asarray(float(power)),
    )


def settle(state: nk.vqs.MCState, sweeps: int) -> None:
    """Make sweeps whose samples are thrown away, by the program that makes the samples that count."""
    for _ in range(-(-sweeps // state.chain_length)):
        state.reset()
        state.sample()
    state.reset()


def change_power(state: nk.vqs.MCState, power: float) -> None:
    """Let the chains of a state go on with samples of another power of |psi|."""
    if float(state.sampler.machine_pow) == power:
        return
    reached = state.sampler_state
    state.sampler = state.sampler.replace(machine_pow=jnp.asarray(float(power)))
    state.sampler_state = reached
    settle(state, ADJUSTMENT)
