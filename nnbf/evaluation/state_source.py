"""Samples of |psi|^p of an ``MCState`` with their local energies: molecules, lattices, other problems."""

from typing import Any

import netket as nk
import numpy as np

from hamiltonians.errors import InputError
from nnbf.evaluation.samples import EvaluationOptions, Samples, SampleSource
from nnbf.evaluation.sampling_loop import PILOT_POWER
from nnbf.operators import Hamiltonian
from nnbf.states import Objective, distinct_samples
from nnbf.states.markov_chains import chain_sampler, change_power, hamiltonian_of, settle

#: Sweeps of all chains before samples count.
THERMALISATION = 40
#: Samples of every chain in one call of the sampler, where nothing else is said: one length is compiled.
STRIDE = 8
#: Fewer chains would not tell how much they differ.
LEAST_CHAINS = 16


class StateSource(SampleSource):
    """Samples of |psi|^p that an ``MCState`` draws by its own sampler."""

    def __init__(self, state: nk.vqs.MCState, hamiltonian: Hamiltonian, unit: str, rounding: float = 0.0):
        """Go on with the samples of a state.

        Args:
            state: The state; chains are to be thermalised.
            hamiltonian: H.
            unit: Of its energies.
            rounding: As in :class:`~nnbf.states.Objective`; the error of the energy contains it.
        """
        self._state, self._hamiltonian, self.unit = state, hamiltonian, unit
        self._objective = Objective(hamiltonian, rounding=rounding)
        self.granule, self.n_particles = state.n_samples, hamiltonian.n_particles
        self.infinite_temperature = hamiltonian.infinite_temperature_energy()
        self.reference = 0.0
        self._first = True
        self._acceptances: list[float] = []
        self.method = "sector" if state.sampler.is_exact else "metropolis"
        if not state.sampler.is_exact:
            self.chains, self.sweep_size = state.sampler.n_chains, state.sampler.sweep_size

    @property
    def power(self) -> float:
        """Power of |psi| that is sampled."""
        return float(self._state.sampler.machine_pow)

    @property
    def acceptance(self) -> float | None:
        """Share of accepted moves among those of the samples that count; None where there are no moves."""
        return float(np.mean(self._acceptances)) if self._acceptances else None

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
        found = distinct_samples(self._state, self._objective)
        place, shape = found.of_sample, found.shape
        peaked = self._hamiltonian.peaked
        # A determinant and its spin flip are the same sample.
        rows = self._hamiltonian.unpack(found.determinants) if peaked else found.occupations
        packed = np.packbits(rows > 0, axis=1)
        acceptance = getattr(self._state.sampler_state, "acceptance", None)
        if acceptance is not None:
            self._acceptances.append(float(acceptance))
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
            independent=self._state.sampler.is_exact,
            peaked=peaked,
        )


class OperatorSource(StateSource):
    """Metropolis chains of |psi|^p over all configurations of a lattice, or of a problem with an operator."""

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
        hamiltonian = hamiltonian_of(problem)
        state = nk.vqs.MCState(
            chain_sampler(hamiltonian, ansatz, options.chains, sweep_size=sweep_size, power=power),
            ansatz,
            n_samples=options.chains * stride,
            n_discard_per_chain=0,
            variables=variables,
            sampler_seed=options.seed,
        )
        super().__init__(state, hamiltonian, problem.unit)
        settle(state, THERMALISATION)
