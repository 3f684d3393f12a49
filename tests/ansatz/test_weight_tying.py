"""Molecular backflow whose weights are tied by symmetry."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hamiltonians import build_molecule
from hamiltonians.lattice.sector import move_configurations
from hamiltonians.molecule.lowest_determinant import lowest_determinant
from hamiltonians.orbital_symmetry import orbital_symmetries
from nnbf.ansatz import NeuralBackflow, ansatz_from_spec, ansatz_spec
from nnbf.ansatz.values import BackflowValues
from nnbf.ansatz.weight_tying import invariant_orbitals, operations_of
from nnbf.determinants.configurations import enumerate_sector, pack_occupations, unpack_occupations
from nnbf.drivers import SolverOptions, make_model
from nnbf.optimize import jvp, tangent_kernel, vjp
from nnbf.optimize.tangent import kernel_diagonal
from nnbf.states.space_state import log_abs_factors
from tests.determinants import oracles
from tests.determinants.oracles import log_psi, random_variables


@cache
def sheet(columns, rows, spin=0):
    atoms = "; ".join(f"H {1.8 * x} {1.8 * y} 0" for x in range(columns) for y in range(rows))
    return build_molecule(atoms, "sto-6g", orbitals="lowdin", references=False, spin=spin)


def tied(columns, rows, total_spin=0.0, **options):
    spin = 0 if total_spin is None else round(2 * total_spin)
    system = sheet(columns, rows, spin)
    given = {"hidden": (5, 6), "start_orbitals": "uhf", "equivariant": True, "total_spin": total_spin}
    return system, make_model(system, SolverOptions(**{**given, **options}))


def all_occupations(model):
    strings = enumerate_sector(model.n_orbitals, model.n_alpha, model.n_beta)
    return unpack_occupations(strings, model.n_orbitals)


def amplitudes(model, variables, occupations):
    return np.exp(np.asarray(log_psi(model, variables, jnp.asarray(occupations, jnp.float64)))).real


@pytest.mark.parametrize(
    ("model", "operations"),
    [
        (tied(2, 2, n_determinants=2)[1], 8),
        (tied(2, 3)[1], 4),
        (tied(5, 1, 0.5, n_determinants=1)[1], 2),
        (tied(2, 2, None, spin_flip="average")[1], 8),
    ],
)
def test_operations_change_signs_alone(model, operations):
    assert len(model.symmetry) == operations
    elements = model.symmetry
    occupations = all_occupations(model)
    variables = random_variables(model, 2 * model.n_orbitals)
    before = amplitudes(model, variables, occupations)
    assert np.abs(before).max() > 0
    columns = (elements.permutations, elements.phases, elements.spin_flips, elements.weights)
    for image, sign, flip, weight in zip(*map(np.asarray, columns), strict=True):
        moved, factors = move_configurations(occupations, image, sign, bool(flip))
        after = amplitudes(model, variables, moved)
        wanted = np.sign(weight) * factors * before
        np.testing.assert_allclose(after, wanted, atol=1e-13 * np.abs(before).max())


def test_compiled_values_are_those_of_the_module():
    _, model = tied(2, 3)
    occupations = all_occupations(model)
    variables = random_variables(model, 2 * model.n_orbitals)
    expected = amplitudes(model, variables, occupations)
    sign, log_abs = BackflowValues(model, variables)(pack_occupations(occupations))
    np.testing.assert_allclose(sign * np.exp(log_abs), expected, atol=1e-12 * np.abs(expected).max())


def test_derivatives_in_factors():
    _, model = tied(2, 3, hidden=(3,))
    variables = random_variables(model, 2 * model.n_orbitals)
    occupations = all_occupations(model)
    largest = np.argsort(-np.abs(amplitudes(model, variables, occupations)))[:5]
    rows = jnp.asarray(occupations[largest], jnp.float64)
    params = variables["params"]
    factors = log_abs_factors(model, variables, rows)
    jacobian = jax.jacrev(lambda p: model.apply({"params": p}, rows).real)(params)
    flat = np.concatenate([np.reshape(leaf, (5, -1)) for leaf in jax.tree.leaves(jacobian)], axis=1)
    np.testing.assert_allclose(tangent_kernel(factors), flat @ flat.T, rtol=1e-9)
    np.testing.assert_allclose(kernel_diagonal(factors), np.sum(flat**2, axis=1), rtol=1e-9)
    tangent = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), params)
    flat_tangent = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tangent)])
    np.testing.assert_allclose(jvp(factors, tangent), flat @ flat_tangent, rtol=1e-9)
    back = jax.tree.leaves(vjp(factors, jnp.arange(5.0), params))
    np.testing.assert_allclose(
        np.concatenate([np.ravel(leaf) for leaf in back]), np.arange(5.0) @ flat, atol=1e-9
    )


def test_the_start_has_the_irrep_of_the_ground_state():
    # The square of four atoms: not the trivial one.
    system, model = tied(2, 2)
    elements = model.symmetry
    assert np.asarray(elements.weights).min() < 0
    occupations = oracles.occupations(oracles.configurations(4, 2, 2), 4)
    place = {tuple(row): i for i, row in enumerate(occupations)}
    projector = np.zeros((len(occupations),) * 2)
    columns = (elements.permutations, elements.phases, elements.spin_flips, elements.weights)
    for image, sign, flip, weight in zip(*map(np.asarray, columns), strict=True):
        moved, factors = move_configurations(occupations, image, sign, bool(flip))
        projector[[place[tuple(row)] for row in moved], np.arange(len(occupations))] += weight * factors
    np.testing.assert_allclose(projector @ projector, projector, atol=1e-12)
    matrix = oracles.sector_hamiltonian(system.integrals)
    np.testing.assert_allclose(projector @ matrix, matrix @ projector, atol=1e-6)
    lowest = np.linalg.eigh(matrix)[1][:, 0]
    np.testing.assert_allclose(projector @ lowest, lowest, atol=1e-5)


def test_the_tied_start_is_the_uhf_determinant():
    system, model = tied(2, 3, noise=1e-9)
    orbitals = lowest_determinant(system.integrals, "uhf").orbitals
    for mine, of_spin in zip(model.initial_orbitals, orbitals, strict=True):
        np.testing.assert_allclose(np.asarray(mine), of_spin, atol=1e-4)
    plain = make_model(system, SolverOptions(hidden=(8,), start_orbitals="uhf", total_spin=0.0, noise=1e-9))
    occupations = all_occupations(model)
    found = [amplitudes(m, m.init(jax.random.key(0), jnp.ones((1, 12))), occupations) for m in (model, plain)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-4 * np.abs(found[1]).max())


def test_a_stored_network_is_the_same():
    _, model = tied(2, 2)
    assert ansatz_from_spec(ansatz_spec(model)) == model


def test_operations_of_signs_alone_are_left_out():
    # One orbital of three is odd: every determinant of canonical orbitals has such operations.
    images, signs = np.tile(np.arange(3), (2, 1)), np.array([[1.0, 1, 1], [1, 1, -1]])
    orbitals = (np.eye(3)[:, :2], np.eye(3)[:, 2:])
    assert operations_of(orbitals, images, signs) is None
    images = np.array([[0, 1, 2], [1, 0, 2], [1, 0, 2], [0, 1, 2]])
    signs = np.array([[1.0, 1, 1], [1, 1, 1], [1, 1, -1], [1, 1, -1]])
    assert len(operations_of(orbitals, images, signs)) == 2
    # An operation that leads to another determinant is none of it.
    assert operations_of((np.eye(3)[:, :1],) * 2, images[:2], signs[:2]) is None


def test_orbitals_that_are_nearly_invariant_become_so():
    system = sheet(2, 3)
    orbitals = lowest_determinant(system.integrals, "uhf").orbitals
    elements = operations_of(orbitals, *orbital_symmetries(system.integrals))
    rng = np.random.default_rng(0)
    rough = tuple(np.linalg.qr(o + 1e-5 * rng.normal(size=o.shape))[0] for o in orbitals)
    smooth = invariant_orbitals(elements, rough)
    for image, flip in zip(np.asarray(elements.permutations), np.asarray(elements.spin_flips), strict=True):
        for spin in (0, 1):
            moved = np.empty_like(smooth[spin])
            moved[image] = smooth[1 - spin if flip else spin]
            overlap = np.linalg.svd(smooth[spin].T @ moved, compute_uv=False)
            np.testing.assert_allclose(overlap, 1.0, atol=1e-12)


def test_widths_are_multiples_of_the_operations():
    with pytest.raises(ValueError, match="symmetry is for initial_orbitals"):
        NeuralBackflow(2, 1, 1, symmetry=tied(2, 2)[1].symmetry)
    _, model = tied(2, 2)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 8)))["params"]
    assert shapes["hidden_0"]["kernel"].shape == (8, 8)
    assert shapes["hidden_1"]["kernel"].shape == (8, 8)
