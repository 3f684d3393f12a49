"""Metropolis chains of lattices and of problems of any other kind, for any power of |psi|."""

from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from hamiltonians.lattice.model import Lattice
from nnbf._devices import n_devices
from nnbf.operators import Hamiltonian, LatticeHamiltonian
from nnbf.sampling import HopRule, ordered_configuration
from nnbf.states.amplitudes import model_at_once

#: Sweeps before samples are used after another power of |psi|.
ADJUSTMENT = 16


def hamiltonian_of(problem: Any) -> Hamiltonian:
    """The operator of a lattice, or of a problem that brings its own."""
    return LatticeHamiltonian(problem) if isinstance(problem, Lattice) else problem.hamiltonian()


def example_of(hamiltonian: Hamiltonian) -> jax.Array:
    """A configuration (1, modes) of the Hilbert space, to initialise a network with."""
    if isinstance(hamiltonian, LatticeHamiltonian):
        return jnp.asarray(ordered_configuration(hamiltonian.model))[None]
    return hamiltonian.hilbert.random_state(jax.random.key(0), 1)


def chain_sampler(
    hamiltonian: Hamiltonian,
    ansatz: Any,
    n_chains: int,
    *,
    sweep_size: int | None = None,
    power: float = 2.0,
) -> nk.sampler.MetropolisSampler:
    """Metropolis chains of |psi|^power: on lattices with :class:`~nnbf.sampling.HopRule`.

    Args:
        hamiltonian: Has the Hilbert space, and the rule.
        ansatz: The state: says how many configurations a network evaluates at once.
        n_chains: Number of chains.
        sweep_size: Proposals between two samples of a chain; default one for each particle, at least 8.
        power: Of |psi|.
    """
    rule = HopRule(hamiltonian.model) if isinstance(hamiltonian, LatticeHamiltonian) else hamiltonian.rule()
    at_once, of_device = model_at_once(ansatz, hamiltonian.n_sites), n_chains // n_devices()
    return nk.sampler.MetropolisSampler(
        hamiltonian.hilbert,
        rule,
        n_chains=n_chains,
        sweep_size=sweep_size or max(hamiltonian.n_particles, 8),
        chunk_size=None if at_once >= of_device else at_once,
        dtype=np.int8,
        machine_pow=jnp.asarray(float(power)),
    )


def settle(state: nk.vqs.MCState, sweeps: int) -> None:
    """Make sweeps whose samples are thrown away, by the program that makes the samples that count."""
    for _ in range(-(-sweeps // state.chain_length)):
        state.reset()
        state.sample()
    state.reset()


def set_power(state: nk.vqs.MCState, power: float) -> None:
    """Let a state sample another power of |psi|, from new chains."""
    state.sampler = state.sampler.replace(machine_pow=jnp.asarray(float(power)))


def change_power(state: nk.vqs.MCState, power: float) -> None:
    """Let the chains of a state go on with samples of another power of |psi|."""
    if float(state.sampler.machine_pow) == power:
        return
    reached = state.sampler_state
    set_power(state, power)
    state.sampler_state = reached
    settle(state, ADJUSTMENT)
