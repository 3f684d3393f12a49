"""A Hamiltonian of one's own needs its diagonal and its connections, and nothing else."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest

from nnbf.operators import Connections, Hamiltonian


class Heisenberg(Hamiltonian):
    """``J sum_<ij> sigma_i . sigma_j`` on a graph."""

    def __init__(self, graph: nk.graph.AbstractGraph, J: float = 1.0, total_sz: float | None = None):
        """Keep the bonds."""
        super().__init__(nk.hilbert.Spin(0.5, graph.n_nodes, total_sz=total_sz))
        self.bonds, self.J = np.array(graph.edges()), J

    def diagonal(self, rows):
        """J times the sum of s_i s_j."""
        return self.J * np.prod(rows[:, self.bonds].astype(float), axis=-1).sum(axis=-1)

    def connections(self, rows, *, threshold=0.0):
        """Opposite spins of a bond are exchanged, with element 2 J."""
        i, j = self.bonds.T
        row, bond = np.nonzero(rows[:, i] != rows[:, j])
        exchanged = rows[row]
        exchanged[np.arange(len(row)), i[bond]] *= -1
        exchanged[np.arange(len(row)), j[bond]] *= -1
        return Connections.merged(rows, self.diagonal(rows), row, exchanged, np.full(len(row), 2.0 * self.J))


class Products(nn.Module):
    """A small real network of spins, positive."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(8, param_dtype=float)(x.astype(float)))
        return jnp.sum(x, -1) + 0j


def theirs(graph, hilbert):
    return nk.operator.Heisenberg(hilbert, graph, J=1.0, sign_rule=False)


@pytest.fixture(params=[None, 0.0], ids=["all", "S_z = 0"])
def case(request):
    graph = nk.graph.Square(3) if request.param is None else nk.graph.Chain(6)
    return Heisenberg(graph, total_sz=request.param), graph


def test_matrix_is_netkets(case):
    ours, graph = case
    expected = theirs(graph, ours.hilbert).to_sparse().toarray()
    np.testing.assert_allclose(ours.to_sparse().toarray(), expected, atol=1e-13)
    np.testing.assert_allclose(np.asarray(ours.to_dense()), expected, atol=1e-13)
    np.testing.assert_allclose(
        ours.matrix(ours.pack(ours.hilbert.all_states())).toarray(), expected, atol=1e-13
    )
    assert nk.exact.lanczos_ed(ours, k=1)[0] == pytest.approx(np.linalg.eigvalsh(expected)[0], abs=1e-10)
    assert ours.infinite_temperature_energy() == pytest.approx(np.mean(np.diag(expected)))


def test_matrix_on_part_of_the_space(case):
    ours, graph = case
    chosen = np.array([7, 1, 3, 12])
    rows = np.asarray(ours.hilbert.all_states())[chosen]
    whole = theirs(graph, ours.hilbert).to_sparse().toarray()
    np.testing.assert_allclose(
        ours.matrix(ours.pack(rows)).toarray(), whole[np.ix_(chosen, chosen)], atol=1e-13
    )


def test_inside_jit(case):
    ours, graph = case
    x = np.asarray(ours.hilbert.all_states())[:6].reshape(2, 3, -1)
    connected, elements = jax.jit(lambda h, x: h.get_conn_padded(x))(ours, x)
    assert connected.shape == (2, 3, ours.max_conn_size, x.shape[-1])
    matrix = np.zeros((6, ours.hilbert.n_states))
    numbers = np.asarray(ours.hilbert.states_to_numbers(connected)).reshape(6, -1)
    np.add.at(matrix, (np.arange(6)[:, None], numbers), np.asarray(elements).reshape(6, -1))
    expected = theirs(graph, ours.hilbert).to_sparse().toarray()[:6]
    np.testing.assert_allclose(matrix, expected, atol=1e-13)
    each = jax.vmap(jax.vmap(ours.get_conn_padded))(x)
    np.testing.assert_array_equal(each[0], connected)


@pytest.mark.parametrize("chunk_size", [None, 8])
def test_local_energies_and_gradients_of_a_netket_state(case, chunk_size):
    ours, graph = case
    sampler = nk.sampler.ExactSampler(ours.hilbert)
    state = nk.vqs.MCState(sampler, Products(), n_samples=64, seed=1, sampler_seed=2, chunk_size=chunk_size)
    samples = np.asarray(state.samples).reshape(-1, graph.n_nodes)
    states = np.asarray(ours.hilbert.all_states())
    psi = np.exp(np.asarray(state.log_value(states)))
    local = (theirs(graph, ours.hilbert).to_sparse() @ psi) / psi
    numbers = np.asarray(ours.hilbert.states_to_numbers(samples))
    found, gradient = state.expect_and_grad(ours)
    assert complex(found.mean) == pytest.approx(local[numbers].mean(), abs=1e-12)
    _, expected = state.expect_and_grad(theirs(graph, ours.hilbert))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), gradient, expected)


@pytest.mark.slow
def test_a_driver_of_netket_finds_the_ground_state():
    ours = Heisenberg(nk.graph.Chain(4), J=-1.0, total_sz=0.0)
    state = nk.vqs.FullSumState(ours.hilbert, Products(), seed=3)
    driver = nk.VMC(ours, nk.optimizer.Sgd(0.1), variational_state=state)
    driver.run(300, show_progress=False)
    assert float(state.expect(ours).mean.real) == pytest.approx(nk.exact.lanczos_ed(ours, k=1)[0], abs=2e-3)


def test_too_many_states_for_what_is_made_by_enumeration():
    large = Heisenberg(nk.graph.Chain(40))
    with pytest.raises(NotImplementedError, match="define max_conn_size"):
        _ = large.max_conn_size
    with pytest.raises(NotImplementedError, match="define infinite_temperature_energy"):
        large.infinite_temperature_energy()
