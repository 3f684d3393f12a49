"""The NetKet side of the comparison: operator, sampler, states and steps, as a NetKet user would make them.

Alpha electrons fill the first block of modes on both sides, so that occupations need no translation.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax

from nnbf.drivers import make_model


def pyscf_mean_field(system: Any) -> tuple[Any, Any]:
    """PySCF's molecule and converged RHF of a system, for NetKet's own route from PySCF."""
    from pyscf import gto, scf

    info = system.info
    molecule = gto.M(
        atom=list(info.atoms),
        basis=info.basis,
        charge=info.charge,
        spin=info.two_S,
        unit="angstrom",
        verbose=0,
    )
    return molecule, scf.RHF(molecule).run()


def operator_from_integrals(system: Any) -> Any:
    """NetKet's operator from our integrals: terms, then its particle- and spin-conserving form."""
    from hamiltonians import to_netket

    return to_netket(system.integrals)[1]


def operator_from_pyscf(molecule: Any, mean_field: Any) -> Any:
    """NetKet's operator by its own route from a PySCF molecule and orbitals."""
    from netket.experimental.operator import from_pyscf_molecule  # noqa: TID251 - as its users call it

    return from_pyscf_molecule(molecule, mo_coeff=mean_field.mo_coeff)


def plain_model(system: Any, options: Any) -> Any:
    """nnbf's network without its restriction to one irrep, where NetKet's samplers cannot start."""
    return make_model(system, options).clone(orbital_irreps=None)


class SingleAndDoubleHops(nk.sampler.rules.MetropolisRule):
    """One or two hops of `FermionHopRule` with equal probability.

    Doubles carry most of the weight outside Hartree-Fock, and single hops alone do not reach them: the
    singles on the way have almost none. Any two orbitals of a spin may exchange, so that every
    configuration has as many hops and the rule is symmetric.
    """

    hop: nk.sampler.rules.MetropolisRule

    def __init__(self, hilbert: Any):
        """Make the rule for electrons of both spins in any orbitals."""
        pairs = np.argwhere(np.tri(hilbert.n_orbitals, k=-1))
        self.hop = nk.sampler.rules.FermionHopRule(hilbert, clusters=pairs)

    def transition(rule, sampler, machine, parameters, state, key, σ):
        """Propose the next configurations."""
        first, second, coin = jax.random.split(key, 3)
        once, _ = rule.hop.transition(sampler, machine, parameters, state, first, σ)
        twice, _ = rule.hop.transition(sampler, machine, parameters, state, second, once)
        return jnp.where(jax.random.bernoulli(coin, shape=(len(σ), 1)), once, twice), None


def draw_samples(hilbert: Any, model: Any, variables: Mapping, n_samples: int, seed: int) -> np.ndarray:
    """Occupations (n_samples, 2M) from |psi|^2 by NetKet's Metropolis sampler."""
    sampler = nk.sampler.MetropolisSampler(hilbert, SingleAndDoubleHops(hilbert), n_chains=64)
    state = nk.vqs.MCState(
        sampler, model, n_samples=n_samples, n_discard_per_chain=100, variables=variables, sampler_seed=seed
    )
    return np.asarray(state.samples).reshape(n_samples, -1)


def state_at(hilbert: Any, model: Any, variables: Mapping, samples: np.ndarray, chunk: int | None) -> Any:
    """An `MCState` that holds the given samples."""
    sampler = nk.sampler.MetropolisSampler(hilbert, SingleAndDoubleHops(hilbert), n_chains=len(samples))
    state = nk.vqs.MCState(sampler, model, n_samples=len(samples), variables=variables, chunk_size=chunk)
    state._samples = jnp.asarray(samples, dtype=jnp.int8)[:, None, :]  # there is no public way to set them
    return state


def local_energies(state: Any, operator: Any, *, packed: bool) -> Callable[[], jax.Array]:
    """NetKet's local energies of the samples that a state holds, as a function to time.

    Args:
        state: The state.
        operator: The Hamiltonian.
        packed: Use the kernel of NetKet 3.23 that skips padding (experimental there).
    """
    return with_kernel(lambda: state.local_estimators(operator).data, packed)


def whole_step(driver: Any, *, packed: bool) -> Callable[[], Any]:
    """NetKet's local energies and update of the parameters, as a function to time."""
    return with_kernel(lambda: driver.compute_loss_and_update()[1], packed)


def with_kernel(action: Callable[[], Any], packed: bool) -> Callable[[], Any]:
    """Run something with NetKet's packed or padded kernel of local energies."""

    def run():
        before = nk.config.netket_experimental_packed_kernel
        nk.config.netket_experimental_packed_kernel = packed
        try:
            return action()
        finally:
            nk.config.netket_experimental_packed_kernel = before

    return run


def sr_driver(
    state: Any, operator: Any, *, diag_shift: float, on_the_fly: bool, learning_rate: float = 1.0
) -> Any:
    """Stock `VMC_SR` in kernel form, in real mode as NetKet advises for real wave functions."""
    driver = nk.driver.VMC_SR(
        operator,
        optax.sgd(learning_rate),
        diag_shift=diag_shift,
        variational_state=state,
        mode="real",
        use_ntk=True,
        on_the_fly=on_the_fly,
    )
    # Derivatives of all samples at once: in chunks (the default is that of the state) they are no faster.
    driver.chunk_size_bwd = None
    return driver


def sr_update(driver: Any, energies: jax.Array) -> Callable[[], Any]:
    """The part of a VMC_SR step after the local energies, called as the driver calls it."""
    from netket._src.ngd.sr_srt_common import srt
    from netket._src.ngd.srt_onthefly import srt_onthefly

    state = driver.state
    solve = srt_onthefly if driver.on_the_fly else srt

    def action():
        return solve(
            state._apply_fun,
            energies,
            state.parameters,
            state.model_state,
            jax.lax.collapse(state.samples, 0, 2),
            diag_shift=driver.diag_shift,
            solver_fn=driver._linear_solver,
            mode=driver.mode,
            proj_reg=None,
            momentum=None,
            old_updates=None,
            chunk_size=driver.chunk_size_bwd,
            weights=None,
        )[0]

    return action
