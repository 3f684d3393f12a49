"""Metropolis samples of |psi|^p with their local energies: of lattices, and of problems with an operator."""

from typing import Any

import netket as nk
import numpy as np

from hamiltonians.errors import InputError
from nnbf.evaluation.samples import EvaluationOptions, Samples, SampleSource
from nnbf.evaluation.sampling_loop import PILOT_POWER
from nnbf.states import distinct_samples
from nnbf.states.hop_chains import chain_sampler, change_power, hamiltonian_of, settle

#: Sweeps of all chains before samples count.
THERMALISATION = 40
#: Samples of every chain in one call of the sampler, where nothing else is said: one length is compiled.
STRIDE = 8
#: Fewer chains would not tell how much they differ.
LEAST_CHAINS = 16


class LatticeSource(SampleSource):
    """Metropolis chains of |psi|^p over all configurations."""

    method = "metropolis"

    def __init__(
        self,
        problem: Any,
        ansatz: Any,
        variables: Any,
        options: EvaluationOptions | None = None,
        *,
        sweep_size: int | None = None,
        stride: int = STRIDE,
    ):
        """Start chains at ordered configurations and random moves away from them, and thermalise them.

        Args:
            problem: A lattice, or a problem with a ``hamiltonian()``.
            ansatz: Flax module: occupations (n, modes) -> complex log psi (n,).
            variables: Its variables.
            options: ``chains``, ``power``, ``seed``.
            sweep_size: Proposals between two samples of a chain; default one for each particle, at least 8.
            stride: Samples of every chain in one call of the sampler.

        Raises:
            InputError: Fewer than 16 chains.
        """
        options = EvaluationOptions() if options is None else options
        if options.chains < LEAST_CHAINS:
            raise InputError(f"chains must be at least {LEAST_CHAINS} on lattices, got {options.chains}")
        power = PILOT_POWER if options.power is None else options.power
        self.chains, self.granule = options.chains, options.chains * stride
        self._hamiltonian = hamiltonian = hamiltonian_of(problem)
        self.unit, self.n_particles = problem.unit, hamiltonian.n_particles
        self.infinite_temperature = hamiltonian.infinite_temperature_energy()
        self.reference = 0.0
        self._first = True
        self._state = nk.vqs.MCState(
            chain_sampler(hamiltonian, ansatz, options.chains, sweep_size=sweep_size, power=power),
            ansatz,
            n_samples=self.granule,
            n_discard_per_chain=0,
            variables=variables,
            sampler_seed=options.seed,
        )
        self._acceptances: list[float] = []
        self.sweep_size = self._state.sampler.sweep_size
        settle(self._state, THERMALISATION)

    @property
    def power(self) -> float:
        """Power of |psi| that is sampled."""
        return float(self._state.sampler.machine_pow)

    @property
    def acceptance(self) -> float:
        """Share of accepted moves among those of the samples that count."""
        return float(np.mean(self._acceptances))

    def draw(self, n_samples: int) -> Samples:
        """Let every chain make some samples more, in whole calls of the sampler.

        Raises:
            FloatingPointError: Local energies are not finite.
        """
        return Samples.joined([self._drawn() for _ in range(-(-n_samples // self.granule))])

    def change_power(self, power: float) -> None:
        """Go on with the chains at another power of |psi|."""
        self._acceptances = []
        change_power(self._state, power)

    def _drawn(self):
        self._state.reset()
        found = distinct_samples(self._state, self._hamiltonian)
        place, shape = found.of_sample, found.shape
        packed = np.packbits(found.occupations > 0, axis=1)
        self._acceptances.append(float(self._state.sampler_state.acceptance))
        local = found.local_energies[place].reshape(shape)
        if self._first:
            self.reference, self._first = float(np.mean(local.real)), False
        return Samples(
            energy=local.real - self.reference,
            second=np.abs(local - self.reference) ** 2,
            log_abs=found.log_abs[place].reshape(shape),
            packed=packed[place].reshape(*shape, -1),
            n_modes=self._hamiltonian.hilbert.size,
            power=self.power,
        )
