"""The lattice Hamiltonian as a NetKet operator: against the sparse matrix, over boundaries and fillings."""

import jax
import numpy as np
import pytest

from hamiltonians import Lattice, lattice_configurations, lattice_to_sparse
from nnbf.determinants.configurations import pack_modes
from nnbf.operators import LatticeHamiltonian, merged_connections

MODELS = {
    "t-V": Lattice("tv", (3, 2), 2, V=1.7),
    "t', open": Lattice("tv", (3, 2), 3, V=0.3, t_prime=0.4, boundary=("open", "pbc")),
    "honeycomb, twist": Lattice("tv", (2, 2), 3, V=2.0, geometry="honeycomb", boundary=(0.13, "apbc")),
    "Hubbard": Lattice("hubbard", (2, 2), (2, 1), U=3.0, V=0.5),
    "Hubbard, twist": Lattice("hubbard", (3, 1), (2, 1), U=3.0, boundary=(0.2, "pbc")),
    "full": Lattice("hubbard", (2, 1), (2, 0), U=1.0),
}


@pytest.fixture(params=list(MODELS), scope="module")
def model(request):
    return MODELS[request.param]


def dense(model, rows, counts, connected, elements):
    configurations = lattice_configurations(model)
    place = {c.tobytes(): i for i, c in enumerate(configurations.astype(np.int8))}
    matrix = np.zeros((len(configurations),) * 2, complex)
    row = np.repeat(np.arange(len(rows)), counts)
    for r, c, value in zip(row, connected, elements, strict=True):
        matrix[place[rows[r].tobytes()], place[c.astype(np.int8).tobytes()]] += value
    return matrix


def test_listed_connections_are_the_rows_of_h(model):
    rows = lattice_configurations(model).astype(np.int8)
    found = LatticeHamiltonian(model).listed(rows)
    counts = np.bincount(found.row, minlength=len(rows))
    matrix = dense(model, rows, counts, found.occupations[found.target], found.element)
    # H_ij psi_j: rows are those of H.
    np.testing.assert_allclose(matrix, lattice_to_sparse(model).toarray(), atol=1e-12)
    np.testing.assert_array_equal(found.occupations[found.own], rows)
    np.testing.assert_array_equal(found.of_sample, np.arange(len(rows)))


def test_padded_connections_are_the_rows_of_h(model):
    operator = LatticeHamiltonian(model)
    rows = lattice_configurations(model).astype(np.int8)
    connected, elements = jax.jit(lambda x: operator.get_conn_padded(x))(rows.astype(float))
    assert connected.shape == (len(rows), operator.max_conn_size, model.n_modes)
    counts = np.full(len(rows), operator.max_conn_size)
    matrix = dense(
        model,
        rows,
        counts,
        np.asarray(connected).reshape(-1, model.n_modes),
        np.asarray(elements).ravel(),
    )
    np.testing.assert_allclose(matrix, lattice_to_sparse(model).toarray(), atol=1e-12)


def test_repeated_samples_are_listed_once():
    model = MODELS["t-V"]
    rows = lattice_configurations(model)[[3, 1, 3, 3]]
    found = LatticeHamiltonian(model).listed(rows)
    np.testing.assert_array_equal(found.of_sample, [0, 1, 0, 0])
    assert len(found.own) == 2
    padded = merged_connections(LatticeHamiltonian(model), rows)
    np.testing.assert_array_equal(np.asarray(padded.occupations)[: len(found.occupations)], found.occupations)
    assert float(np.abs(np.asarray(padded.element)[len(found.element) :]).sum()) == 0.0


def test_more_than_64_modes_do_not_overflow():
    rng = np.random.default_rng(0)
    rows = (rng.random((50, 130)) < 0.5).astype(np.uint8)
    rows[1] = rows[0]
    rows[1, 129] ^= 1
    keys = pack_modes(rows)
    assert keys.shape == (50, 3)
    assert len(np.unique(keys, axis=0)) == 50
    model = Lattice("tv", (9, 9), 3, V=1.0)
    found = LatticeHamiltonian(model).listed(np.eye(81, dtype=np.int8)[[0, 40]].sum(0)[None])
    # Of the eight hops only the one from site 0 around the edge to site 72 passes the other particle.
    assert sorted(found.element[1:]) == [-1.0] * 7 + [1.0]
    assert found.element[0] == 0.0
