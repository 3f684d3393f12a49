"""NetKet's own calls on molecules: every state, observable and driver against exact numbers.

Exact means: PySCF's FCI energy for the matrix, and sums over the whole sector for everything else.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import flax.linen as nn
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax
import pytest
import scipy.sparse.linalg
from jax.flatten_util import ravel_pytree

from hamiltonians import build_molecule
from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import enumerate_sector
from nnbf.operators import MolecularHamiltonian
from nnbf.sampling import SectorSampler
from tests.determinants.oracles import log_psi

NH2 = "N 0 0 0; H 0.803 0.5995 0; H -0.803 0.5995 0"
MOLECULES = {
    "LiH": ("LiH", {}),
    "O2 triplet": ("O2", {}),
    "NH2 doublet, UHF": (NH2, {"spin": 1, "reference": "uhf"}),
}
N_SAMPLES = 96
SHIFT = 0.01


class SignedNetwork(nn.Module):
    """A small real wave function of either sign; with ``phase``, a complex one."""

    phase: float = 0.0

    @nn.compact
    def __call__(self, x):
        hidden = nn.tanh(nn.Dense(4, param_dtype=float)(2.0 * x - 1.0))
        first, second = jnp.unstack(nn.Dense(2, param_dtype=float)(hidden), axis=-1)
        size = jnp.log(jnp.abs(first) + 0.1)
        return size + 1j * (jnp.where(first < 0, jnp.pi, 0.0) + self.phase * second)


@dataclass(frozen=True, eq=False)
class Case:
    """A molecule with a random wave function, and everything about the two by dense linear algebra."""

    hamiltonian: MolecularHamiltonian
    fci: float
    full: nk.vqs.FullSumState
    matrix: scipy.sparse.csr_matrix
    energy: float
    variance: float
    local: np.ndarray
    squared: np.ndarray

    @property
    def scale(self) -> float:
        """Standard deviation of the local energy, Hartree."""
        return np.sqrt(self.variance)

    @cached_property
    def state(self) -> nk.vqs.MCState:
        """Samples of the wave function by Metropolis, with repetitions."""
        return sampled(self.hamiltonian, self.full.model, variables=self.full.variables, chunk_size=64)

    def local_energies(self, state) -> np.ndarray:
        """Exact local energies of the samples that a state holds, in their shape."""
        places = {bytes(x): k for k, x in enumerate(np.asarray(self.full._all_states, np.int8))}
        samples = np.asarray(state.samples, np.int8)
        rows = samples.reshape(-1, samples.shape[-1])
        return self.local[[places[bytes(row)] for row in rows]].reshape(samples.shape[:-1])


def sampled(hamiltonian, model, **options) -> nk.vqs.MCState:
    """A Monte Carlo state with NetKet's own sampler."""
    pairs = np.argwhere(np.tri(hamiltonian.n_orbitals, k=-1))
    sampler = nk.sampler.MetropolisFermionHop(hamiltonian.hilbert, clusters=pairs, n_chains=32, sweep_size=8)
    settings = {"n_samples": N_SAMPLES, "n_discard_per_chain": 8, "seed": 3, "sampler_seed": 7}
    return nk.vqs.MCState(sampler, model, **{**settings, **options})


def exact(matrix, psi):
    """Energy, variance, and local values of H and of H^2."""
    norm = np.linalg.norm(psi)
    product = matrix @ psi / norm
    energy = np.vdot(psi / norm, product).real
    return (
        energy,
        np.linalg.norm(product - energy * psi / norm) ** 2,
        product * norm / psi,
        matrix @ product * norm / psi,
    )


def make_case(name, model) -> Case:
    molecule, options = MOLECULES[name]
    system = build_molecule(molecule, "sto-3g", **options)
    hamiltonian = MolecularHamiltonian(system.integrals)
    full = nk.vqs.FullSumState(hamiltonian.hilbert, model, seed=5)
    matrix = hamiltonian.to_sparse()
    fci = system.references["fci"]
    return Case(hamiltonian, fci, full, matrix, *exact(matrix, np.asarray(full.to_array())))


@pytest.fixture(
    scope="module", params=["LiH", pytest.param("O2 triplet", marks=pytest.mark.slow), "NH2 doublet, UHF"]
)
def case(request) -> Case:
    return make_case(request.param, SignedNetwork())


@pytest.fixture(scope="module")
def lih() -> Case:
    """With a wave function that is not real."""
    return make_case("LiH", SignedNetwork(phase=0.7))


def log_derivatives(state) -> np.ndarray:
    """Centred derivatives (n, 2, P) of the real and imaginary part of log psi on a state's samples."""
    samples = state.samples.reshape(-1, state.samples.shape[-1])
    return np.asarray(
        nk.jax.jacobian(state._apply_fun, state.parameters, samples, mode="complex", dense=True, center=True)
    )


def energy_gradient(state, local) -> np.ndarray:
    """Derivatives of the energy of a real wave function, from samples."""
    return 2 * log_derivatives(state)[:, 0].T @ local.ravel().real / local.size


def natural_gradient(state, local, mode) -> np.ndarray:
    """Stochastic reconfiguration written out, with the factor two of NetKet's gradients."""
    n = local.size
    rows = log_derivatives(state) / np.sqrt(n)
    deviations = 2 * (local.ravel() - local.mean()) / np.sqrt(n)
    parts = [deviations.real] if mode == "real" else [deviations.real, deviations.imag]
    rows = rows[:, : len(parts)].reshape(n * len(parts), -1)
    target = np.stack(parts, axis=1).ravel()
    return rows.T @ np.linalg.solve(rows @ rows.T + SHIFT * np.eye(len(rows)), target)


def check_sr(case, state, mode, use_ntk, on_the_fly):
    driver = nk.driver.VMC_SR(
        case.hamiltonian,
        optax.sgd(0.1),
        variational_state=state,
        diag_shift=SHIFT,
        mode=mode,
        use_ntk=use_ntk,
        on_the_fly=on_the_fly,
    )
    stats, update = driver.compute_loss_and_update()
    local = case.local_energies(state)
    assert complex(stats.mean) == pytest.approx(local.mean(), abs=1e-8)
    expected = natural_gradient(state, local, mode)
    found = ravel_pytree(update)[0]
    assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)


class TestEveryMolecule:
    def test_lowest_eigenvalue_is_fci(self, case):
        found = scipy.sparse.linalg.eigsh(case.matrix, k=1, which="SA")[0][0]
        assert found == pytest.approx(case.fci, abs=1e-8)
        assert abs(case.matrix - case.matrix.T).max() < 1e-12

    def test_full_summation(self, case):
        """Energy, variance, V-score; the gradient against finite differences in a random direction."""
        hamiltonian, full = case.hamiltonian, case.full
        assert float(full.expect(hamiltonian).mean.real) == pytest.approx(case.energy, abs=1e-9)
        stats, gradient = full.expect_and_grad(hamiltonian)
        assert float(stats.mean.real) == pytest.approx(case.energy, abs=1e-9)
        assert float(stats.variance) == pytest.approx(case.variance, rel=1e-8)
        flat, unravel = ravel_pytree(full.parameters)
        direction = np.random.default_rng(0).normal(size=flat.size)
        direction /= np.linalg.norm(direction)
        energies = [
            exact(case.matrix, np.exp(log_psi(full.model, {"params": unravel(flat + h * direction)}, x)))[0]
            for x in [full._all_states]
            for h in (1e-5, -1e-5)
        ]
        slope = (energies[0] - energies[1]) / 2e-5
        assert ravel_pytree(gradient)[0].real @ direction == pytest.approx(slope, rel=1e-5, abs=1e-7)

        variance = full.expect(nk.observable.VarianceObservable(hamiltonian))
        assert float(variance.mean.real) == pytest.approx(case.variance, rel=1e-8)
        hot = hamiltonian.infinite_temperature_energy()
        assert hot == pytest.approx(case.matrix.trace() / case.matrix.shape[0], abs=1e-9)
        v_score = full.expect(nk.observable.VScore(hamiltonian, trace_diagonal=hot))
        expected = hamiltonian.n_electrons * case.variance / (case.energy - hot) ** 2
        assert float(v_score.mean) == pytest.approx(expected, rel=1e-8)

    def test_monte_carlo(self, case):
        """Local energies of every sample, their mean, its gradient, and the step of VMC."""
        hamiltonian, state = case.hamiltonian, case.state
        local = case.local_energies(state)
        assert len(np.unique(local)) < local.size
        assert np.allclose(state.local_estimators(hamiltonian).data, local, rtol=1e-8, atol=1e-8)
        stats = state.expect(hamiltonian)
        assert complex(stats.mean) == pytest.approx(local.mean(), abs=1e-8)
        assert float(stats.variance) == pytest.approx(np.var(local), rel=1e-6)

        stats, gradient = state.expect_and_grad(hamiltonian)
        assert complex(stats.mean) == pytest.approx(local.mean(), abs=1e-8)
        expected = energy_gradient(state, local)
        assert np.allclose(ravel_pytree(gradient)[0].real, expected, rtol=1e-6, atol=1e-8)
        driver = nk.driver.VMC(hamiltonian, optax.sgd(0.01), variational_state=state)
        _, update = driver.compute_loss_and_update()  # on samples of its own
        expected = energy_gradient(state, case.local_energies(state))
        assert np.allclose(ravel_pytree(update)[0], expected, rtol=1e-6, atol=1e-8)

    def test_natural_gradient(self, case):
        check_sr(case, case.state, "real", use_ntk=True, on_the_fly=False)

    def test_expect_to_precision(self, case):
        tolerance = case.scale / 20
        found = case.state.expect_to_precision(case.hamiltonian, atol=tolerance, verbose=False)
        stats = found.get_stats()
        assert float(stats.error_of_mean) <= tolerance
        assert abs(float(stats.mean.real) - case.energy) < 5 * tolerance


@pytest.mark.parametrize(
    ("mode", "use_ntk", "on_the_fly", "chunk_size"),
    [
        ("real", True, True, None),
        pytest.param("real", False, False, None, marks=pytest.mark.slow),
        ("complex", True, True, None),
        ("complex", True, False, 32),
        pytest.param("complex", False, False, None, marks=pytest.mark.slow),
    ],
)
def test_natural_gradient_of_every_mode(lih, mode, use_ntk, on_the_fly, chunk_size):
    """For a wave function that is not real the modes differ."""
    state = lih.state
    state.chunk_size = chunk_size
    check_sr(lih, state, mode, use_ntk, on_the_fly)


def test_complex_wave_function(lih):
    """Local energies are complex, and H psi / psi."""
    lih.state.chunk_size = None
    local = lih.local_energies(lih.state)
    assert np.abs(local.imag).max() > 0.1
    assert np.allclose(lih.state.local_estimators(lih.hamiltonian).data, local, rtol=1e-8, atol=1e-8)
    stats = lih.full.expect(lih.hamiltonian)
    assert complex(stats.mean) == pytest.approx(lih.energy, abs=1e-9)


@pytest.mark.parametrize("chunk_size", [None, 32])
def test_variance_of_samples(lih, chunk_size):
    """VarianceObservable and VScore sum (H^2)_loc, with and without chunks."""
    hamiltonian, state = lih.hamiltonian, lih.state
    state.chunk_size = chunk_size
    local = lih.local_energies(state)
    squared = replace(lih, local=lih.squared).local_energies(state)
    variance = squared.real.mean() - local.real.mean() ** 2
    found = state.expect(nk.observable.VarianceObservable(hamiltonian))
    assert float(found.mean.real) == pytest.approx(variance, rel=1e-8)
    hot = hamiltonian.infinite_temperature_energy()
    found = state.expect(nk.observable.VScore(hamiltonian, trace_diagonal=hot))
    assert float(found.mean) == pytest.approx(4 * variance / (local.real.mean() - hot) ** 2, rel=1e-8)


def test_ground_state_has_no_variance(lih):
    """The network replaced by a table of the ground state, with nodes set to tiny numbers."""
    energy, vectors = scipy.sparse.linalg.eigsh(lih.matrix, k=1, which="SA")
    table = np.where(np.abs(vectors[:, 0]) < 1e-12, 1e-12, vectors[:, 0])
    found = exact(lih.matrix, table)
    assert found[0] == pytest.approx(lih.fci, abs=1e-8)
    assert nk.exact.lanczos_ed(lih.hamiltonian)[0] == pytest.approx(lih.fci, abs=1e-8)
    assert energy[0] == pytest.approx(lih.fci, abs=1e-8)


class TestAlgebra:
    def test_real_combinations_are_molecular_hamiltonians(self, lih):
        matrix, one = lih.matrix.toarray(), np.eye(lih.matrix.shape[0])
        h = lih.hamiltonian
        for operator, expected in (
            (2.0 * h, 2 * matrix),
            (h * np.float64(0.5), 0.5 * matrix),
            (-h, -matrix),
            (h / 4, matrix / 4),
            (h + h, 2 * matrix),
            (h - 3.0, matrix - 3 * one),
            (1 - h, one - matrix),
            (3 * h - h, 2 * matrix),
            (h @ h, matrix @ matrix),
            (h.H, matrix),
        ):
            assert operator.is_hermitian
            assert np.allclose(operator.to_sparse().toarray(), expected, rtol=0, atol=1e-9)
            assert type(operator).__module__.startswith("nnbf.")

    def test_energy_of_combinations(self, lih):
        state = lih.state
        state.chunk_size = None
        local = lih.local_energies(state).mean()
        for operator, expected in ((2 * lih.hamiltonian, 2 * local), (lih.hamiltonian - 1.5, local - 1.5)):
            assert complex(state.expect(operator).mean) == pytest.approx(expected, abs=1e-8)

    def test_equal_operators_are_interchangeable(self, lih):
        h = lih.hamiltonian
        same = MolecularHamiltonian(h.integrals)
        assert (same, hash(same)) == (h, hash(h))
        assert len({h, same, 1 * h, 2 * h, MolecularHamiltonian(h.integrals, threshold=1e-3)}) == 3
        assert h != h.to_sparse()
        assert h @ h == same @ same
        assert h @ h != h @ (2 * h)


@pytest.mark.parametrize("threshold", [1e-3, 1e-2, 0.05])
def test_screening_error_is_a_bound(lih, threshold):
    """Exactly the small elements go, and no eigenvalue moves by more than is said."""
    screened = MolecularHamiltonian(lih.hamiltonian.integrals, threshold=threshold)
    matrix = lih.matrix.toarray()
    small = np.abs(matrix) < threshold
    np.fill_diagonal(small, False)
    found = screened.to_sparse().toarray()
    assert np.any(small & (matrix != 0))
    assert np.allclose(found, np.where(small, 0.0, matrix), rtol=0, atol=1e-12)
    assert np.array_equal(found, found.T)
    moved = np.abs(np.linalg.eigvalsh(found) - np.linalg.eigvalsh(matrix)).max()
    assert 0 < moved <= np.linalg.norm(found - matrix, 2) + 1e-12
    assert np.linalg.norm(found - matrix, 2) <= screened.screening_error
    assert screened.screening_error < 60 * threshold
    assert (3 * screened).screening_error == pytest.approx(3 * screened.screening_error)
    assert lih.hamiltonian.screening_error == 0.0


BACKFLOW = NeuralBackflow(6, 2, 2, hidden=(8,), noise=0.5)


@pytest.fixture(scope="module")
def backflow(lih) -> nk.vqs.MCState:
    """nnbf's network with independent samples, far from Hartree-Fock so that they differ."""
    sampler = SectorSampler(lih.hamiltonian.hilbert, enumerate_sector(6, 2, 2))
    return nk.vqs.MCState(sampler, BACKFLOW, n_samples=2048, seed=3, sampler_seed=7)


def test_natural_gradient_of_backflow(lih, backflow):
    state = nk.vqs.MCState(backflow.sampler, BACKFLOW, n_samples=N_SAMPLES, seed=3, sampler_seed=7)
    local = exact(lih.matrix, np.asarray(state.to_array()))[2]
    check_sr(replace(lih, local=local), state, "real", use_ntk=True, on_the_fly=True)


def errors_of_run(lih, state, driver, n_steps):
    """Errors to FCI (Hartree, by full summation) before a run, and after each sixth of it."""
    errors = []
    for _ in range(7):
        errors.append(exact(lih.matrix, np.asarray(state.to_array()))[0] - lih.fci)
        if len(errors) < 7:
            driver.run(n_steps // 6, out=(), show_progress=False)
    return errors


def natural_gradient_driver(lih, state, **options):
    settings = {"diag_shift": 1e-4, "mode": "real", "use_ntk": False, "on_the_fly": False}
    return nk.driver.VMC_SR(
        lih.hamiltonian, optax.sgd(0.2), variational_state=state, **{**settings, **options}
    )


@pytest.mark.slow
def test_natural_gradient_on_samples_finds_the_ground_state(lih, backflow):
    errors = errors_of_run(lih, backflow, natural_gradient_driver(lih, backflow), 60)
    assert errors[0] > 1.0
    assert np.all(np.diff(errors) < 1e-3)
    # Far below Hartree-Fock (17 mHa); NetKet's drivers sample |psi|^2, which sees the rest too rarely.
    assert 0 < errors[-1] < 6e-3


@pytest.mark.parametrize("kind", [pytest.param("VMC", marks=pytest.mark.slow), "VMC_SR"])
def test_full_summation_finds_the_ground_state(lih, kind):
    state = nk.vqs.FullSumState(lih.hamiltonian.hilbert, BACKFLOW, seed=3)
    if kind == "VMC":
        driver = nk.driver.VMC(lih.hamiltonian, optax.adam(0.03), variational_state=state)
        errors = errors_of_run(lih, state, driver, 180)
    else:
        errors = errors_of_run(lih, state, natural_gradient_driver(lih, state), 42)
    print(kind, errors)
    assert errors[0] > 1.0
    assert np.all(np.diff(errors) < 0)
    assert 0 < errors[-1] < (3e-3 if kind == "VMC" else 5e-4)
