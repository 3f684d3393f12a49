"""The molecular Hamiltonian as a NetKet operator, and local energies."""

import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest

from hamiltonians import MolecularIntegrals, fci_energy_of_integrals
from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import unpack_occupations
from nnbf.operators import MolecularHamiltonian, local_energies
from tests.determinants.oracles import (
    bit_strings,
    configurations,
    log_psi,
    occupations,
    openfermion_matrix,
    openfermion_sector,
    random_integrals,
    random_variables,
    sector_hamiltonian,
    slow_hamiltonian,
)

CASES = [
    (2, 1, 1, False),
    (3, 2, 1, False),
    (3, 2, 1, True),
    (4, 2, 2, False),
    (3, 0, 2, True),
    (2, 0, 0, False),
]


def in_netket_order(hilbert, n_orbitals):
    """Configurations (alpha in the first block) in the order of NetKet's states."""
    states = np.asarray(hilbert.all_states()).astype(int)
    return [
        (tuple(np.flatnonzero(x[:n_orbitals]).tolist()), tuple(np.flatnonzero(x[n_orbitals:]).tolist()))
        for x in states
    ]


@pytest.mark.parametrize(("size", "n_alpha", "n_beta", "spin_resolved"), CASES)
@pytest.mark.slow
def test_dense_matrix_equals_openfermion(size, n_alpha, n_beta, spin_resolved):
    integrals = random_integrals(size, n_alpha, n_beta, seed=5, spin_resolved=spin_resolved)
    operator = MolecularHamiltonian(integrals)
    configs = in_netket_order(operator.hilbert, size)
    assert sorted(configs) == configurations(size, n_alpha, n_beta)
    expected = openfermion_sector(openfermion_matrix(integrals), size, configs)
    assert np.allclose(operator.to_dense(), expected, rtol=0, atol=1e-11)
    assert np.allclose(operator.to_sparse().toarray(), expected, rtol=0, atol=1e-11)
    # By the padded connections.
    assert np.allclose(operator.to_sparse(jax_=True).todense(), expected, rtol=0, atol=1e-11)
    assert operator.infinite_temperature_energy() == pytest.approx(
        np.trace(expected) / len(configs), abs=1e-11
    )
    assert operator.is_hermitian
    assert operator.dtype == np.float64
    assert (operator.n_orbitals, operator.n_electrons) == (size, n_alpha + n_beta)


@pytest.mark.parametrize("size", range(1, 6))
def test_infinite_temperature_energy_of_every_filling(size):
    for n_alpha in range(size + 1):
        for n_beta in range(size + 1):
            integrals = random_integrals(size, n_alpha, n_beta, seed=size, spin_resolved=bool(n_beta % 2))
            configs = configurations(size, n_alpha, n_beta)
            diagonal = [slow_hamiltonian(integrals, [config])[0, 0] for config in configs]
            found = MolecularHamiltonian(integrals).infinite_temperature_energy()
            assert found == pytest.approx(np.mean(diagonal), abs=1e-11)


@pytest.fixture(scope="module")
def integrals() -> MolecularIntegrals:
    """Random, three alpha and one beta electron in four orbitals."""
    return random_integrals(4, 3, 1, seed=8, reference=((0, 1, 3), (2,)))


@pytest.fixture(scope="module")
def hamiltonian(integrals) -> MolecularHamiltonian:
    return MolecularHamiltonian(integrals)


def test_reference_determinant(hamiltonian):
    assert np.array_equal(hamiltonian.reference, bit_strings([((0, 1, 3), (2,))], 4))
    assert "n_orbitals=4, n_alpha=3, n_beta=1" in repr(hamiltonian)


@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_flattened_connections(hamiltonian, integrals, pad, dtype):
    """Sections are ends, as np.split wants them; padding is the row itself with element 0."""
    configs = configurations(4, 3, 1)
    index = {config: k for k, config in enumerate(configs)}
    x = occupations(configs, 4).astype(dtype)[[3, 0, 3, 7]]
    sections = np.empty(len(x), dtype=np.int32)
    connected, elements = hamiltonian.get_conn_flattened(x, sections, pad=pad)
    assert connected.dtype == dtype
    assert sections[-1] == len(connected) == len(elements)
    expected = sector_hamiltonian(integrals)[[3, 0, 3, 7]]
    for row, others, values in zip(
        expected, np.split(connected, sections[:-1]), np.split(elements, sections[:-1]), strict=True
    ):
        assert len(values) <= hamiltonian.max_conn_size
        found = np.zeros(len(configs))
        for other, value in zip(others, values, strict=True):
            place = (tuple(np.flatnonzero(other[:4])), tuple(np.flatnonzero(other[4:])))
            found[index[place]] += value
        assert np.allclose(found, row, rtol=0, atol=1e-11)


def test_padded_connections(hamiltonian, integrals):
    configs = configurations(4, 3, 1)
    x = occupations(configs, 4).reshape(2, 8, 8)
    connected, elements = hamiltonian.get_conn_padded(x)
    assert connected.shape == (*elements.shape, 8)
    assert elements.shape[:2] == (2, 8)
    assert elements.shape[2] <= hamiltonian.max_conn_size
    psi = np.random.default_rng(0).normal(size=len(configs))
    index = {bytes(row): k for k, row in enumerate(x.reshape(16, 8))}
    places = np.array([index[bytes(row)] for row in connected.reshape(-1, 8)]).reshape(elements.shape)
    product = np.sum(elements * psi[places], axis=-1).ravel()
    assert np.allclose(product, sector_hamiltonian(integrals) @ psi, rtol=0, atol=1e-11)


def test_lanczos_finds_the_fci_energy(hamiltonian, integrals):
    found = nk.exact.lanczos_ed(hamiltonian, k=1)
    assert found[0] == pytest.approx(fci_energy_of_integrals(integrals), abs=1e-9)


class Tabulated:
    """A wave function as a table, callable on bit strings; counts evaluations."""

    def __init__(self, configs, size, psi):
        # A node is a tiny number, as in a network.
        psi = np.where(psi == 0.0, 1e-300, psi)
        self.table = {bytes(row): value for row, value in zip(bit_strings(configs, size), psi, strict=True)}
        self.seen = []

    def __call__(self, determinants):
        self.seen += list(map(bytes, determinants))
        psi = np.array([self.table[bytes(row)] for row in determinants])
        # Far from normalised, as networks are.
        return np.sign(psi), np.log(np.abs(psi)) + 500.0


@pytest.mark.parametrize("spin_resolved", [False, True], ids=["restricted", "spin-resolved"])
def test_local_energies_with_repeated_samples(spin_resolved):
    integrals = random_integrals(4, 2, 1, seed=9, spin_resolved=spin_resolved)
    configs = configurations(4, 2, 1)
    psi = np.random.default_rng(1).normal(size=len(configs))
    expected = sector_hamiltonian(integrals) @ psi / psi
    chosen = [3, 3, 11, 0, 3, 11]
    network = Tabulated(configs, 4, psi)
    found = local_energies(MolecularHamiltonian(integrals), network, occupations(configs, 4)[chosen])
    assert np.allclose(found, expected[chosen], rtol=1e-10, atol=1e-10)
    assert len(network.seen) == len(set(network.seen))


def test_local_energies_with_spin_flip():
    integrals = random_integrals(4, 2, 2, seed=10)
    configs = configurations(4, 2, 2)
    rng = np.random.default_rng(2)
    table = {frozenset([config, config[::-1]]): rng.normal() for config in configs}
    psi = np.array([table[frozenset([config, config[::-1]])] for config in configs])
    expected = sector_hamiltonian(integrals) @ psi / psi
    network = Tabulated(configs, 4, psi)
    hamiltonian = MolecularHamiltonian(integrals)
    found = local_energies(hamiltonian, network, occupations(configs, 4), spin_flip=True)
    assert np.allclose(found, expected, rtol=1e-10, atol=1e-10)
    # Every flip pair once.
    assert len(network.seen) == len(set(network.seen)) == len(set(table))
    one = local_energies(hamiltonian, network, occupations(configs, 4)[5:6], spin_flip=True)
    assert np.allclose(one, expected[5:6], rtol=1e-10, atol=1e-10)


def test_threshold_of_local_energies(integrals, hamiltonian):
    configs = configurations(4, 3, 1)
    psi = np.random.default_rng(4).normal(size=len(configs))
    matrix = sector_hamiltonian(integrals)
    off_diagonal = np.abs(matrix - np.diag(np.diag(matrix)))
    threshold = float(np.median(off_diagonal[off_diagonal > 0])) + 1e-9
    kept = np.where((np.abs(matrix) < threshold) & (off_diagonal > 0), 0.0, matrix)
    found = local_energies(
        hamiltonian, Tabulated(configs, 4, psi), occupations(configs, 4)[[2, 9]], threshold=threshold
    )
    assert np.allclose(found, (kept @ psi / psi)[[2, 9]], rtol=1e-10, atol=1e-10)


def test_local_energy_of_an_eigenstate_is_constant(integrals, hamiltonian):
    energies, vectors = np.linalg.eigh(sector_hamiltonian(integrals))
    configs = configurations(4, 3, 1)
    for level in (0, 7):
        # Where the state has a node there is no local energy.
        there = np.abs(vectors[:, level]) > 1e-3
        assert there.sum() > 3
        network = Tabulated(configs, 4, vectors[:, level])
        found = local_energies(hamiltonian, network, occupations(configs, 4)[there])
        assert np.allclose(found, energies[level], rtol=0, atol=1e-8)


def test_determinant_of_everything_filled_is_an_eigenstate():
    integrals = random_integrals(3, 3, 3, seed=1, spin_resolved=True)
    operator = MolecularHamiltonian(integrals)
    assert operator.max_conn_size == 1
    found = local_energies(operator, Tabulated([((0, 1, 2), (0, 1, 2))], 3, [2.0]), np.ones((2, 6)))
    assert np.allclose(found, sector_hamiltonian(integrals)[0, 0], rtol=0, atol=1e-11)


def exact_energy(hamiltonian, model, variables):
    """Energy and variance of the network by dense linear algebra."""
    configs = in_netket_order(hamiltonian.hilbert, 4)
    psi = np.exp(np.asarray(log_psi(model, variables, jnp.asarray(occupations(configs, 4))))).real
    psi /= np.linalg.norm(psi)
    product = slow_hamiltonian(hamiltonian.integrals, configs) @ psi
    energy = float(psi @ product)
    return energy, float(np.sum((product - energy * psi) ** 2))


MODEL = NeuralBackflow(4, 3, 1, hidden=(4,), noise=0.5)
VARIABLES = random_variables(MODEL, 8, seed=6)


class TestMonteCarlo:
    """NetKet's own states and samplers with our operator and ansatz."""

    def test_full_summation(self, hamiltonian):
        state = nk.vqs.FullSumState(hamiltonian.hilbert, MODEL, seed=3)
        energy, variance = exact_energy(hamiltonian, MODEL, state.variables)
        stats = state.expect(hamiltonian)
        assert float(stats.mean.real) == pytest.approx(energy, abs=1e-10)
        assert float(stats.variance) == pytest.approx(variance, abs=1e-9)

    def test_exact_sampling(self, hamiltonian):
        energy, variance = exact_energy(hamiltonian, MODEL, VARIABLES)
        state = nk.vqs.MCState(
            nk.sampler.ExactSampler(hamiltonian.hilbert),
            MODEL,
            n_samples=4096,
            variables=VARIABLES,
            sampler_seed=1,
        )
        stats = state.expect(hamiltonian)
        error = np.sqrt(variance / 4096)
        assert abs(float(stats.mean.real) - energy) < 4 * error
        assert float(stats.error_of_mean) == pytest.approx(error, rel=0.5)
        assert float(stats.variance) == pytest.approx(variance, rel=0.2)

    @pytest.mark.slow
    def test_metropolis_with_fermion_hops(self, hamiltonian):
        energy, variance = exact_energy(hamiltonian, MODEL, VARIABLES)
        graph = nk.graph.disjoint_union(
            *2 * [nk.graph.Graph(edges=[(p, q) for p in range(4) for q in range(p)])]
        )
        sampler = nk.sampler.MetropolisFermionHop(
            hamiltonian.hilbert, graph=graph, n_chains=64, sweep_size=24
        )
        state = nk.vqs.MCState(
            sampler, MODEL, n_samples=4096, n_discard_per_chain=20, variables=VARIABLES, sampler_seed=2
        )
        samples = np.asarray(state.samples).reshape(-1, 8)
        assert np.all(samples[:, :4].sum(axis=1) == 3)
        assert np.all(samples[:, 4:].sum(axis=1) == 1)
        stats = state.expect(hamiltonian)
        assert abs(float(stats.mean.real) - energy) < 5 * max(
            float(stats.error_of_mean), np.sqrt(variance / 4096)
        )
        # The same local energies, one network evaluation a distinct determinant.
        local = local_energies(hamiltonian, state_signed_log(state), samples)
        assert np.mean(local) == pytest.approx(float(stats.mean.real), abs=1e-8)


def state_signed_log(state):
    """Sign and log|psi| of bit strings, from a NetKet state."""

    def signed_log(determinants):
        values = np.asarray(state.log_value(jnp.asarray(unpack_occupations(determinants, 4), float)))
        return np.cos(values.imag), values.real

    return signed_log
