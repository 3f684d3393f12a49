"""Projected backflow in one network pass against sums over the group with explicit parities, and NetKet's."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from netket.utils import HashableArray

from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.space_group import space_group
from nnbf.ansatz.equivariant import EquivariantBackflow, ProjectedBackflow
from nnbf.ansatz.named_networks import ProjectedNetwork
from nnbf.ansatz.orbitals import free_orbitals, given_orbitals
from nnbf.ansatz.projection import SymmetryElements, projection_plan
from tests.ansatz.lattice_oracles import (
    all_configurations,
    elements,
    explicit_projection,
    with_random_parameters,
)
from tests.determinants.oracles import log_psi


def network(model, orbitals, **options) -> EquivariantBackflow:
    settings = {"features": 3, "depth": 1, "noise": 0.7, **options}
    return EquivariantBackflow(model.size, orbitals, periodic=model.periodic, **settings)


def psi_and_log(module, variables, x):
    """Amplitudes before projection, and their logarithms after it."""

    @jax.jit
    def run(v):
        inner = {"params": v["params"]["backflow"]}
        return jnp.exp(module.backflow.apply(inner, x)), module.apply(v, x)

    return tuple(np.asarray(values) for values in run(variables))


TV = Lattice("tv", "3x3", 3)
TWISTED = Lattice("tv", "3x4", 3, boundary=("apbc", 0.3))
HUBBARD = Lattice("hubbard", "2x3", (2, 2), boundary=("pbc", "apbc"))
HONEYCOMB = Lattice("tv", "2x2", 3, geometry="honeycomb")


def plane_waves_and_point_group():
    sector = space_group(TV).sector((0, 0), "B2")
    orbitals = free_orbitals(TV, (0, 0))
    assert not orbitals[0].is_real or orbitals[0].n_pairs == 1
    module = network(TV, orbitals, distances=HashableArray(TV.distance_shells), network_jastrow=True)
    # Eight passes, one determinant after each.
    return TV, sector, module, (8, 1, 1)


def one_row_of_e_with_given_real_orbitals():
    sector = space_group(TV).sector((0, 0), "E", row=1)
    start = np.random.default_rng(1).normal(size=(2, 3, 9))
    # Half of the point group has no diagonal element.
    return TV, sector, network(TV, (given_orbitals(start),), backflow="additive"), (4, 9, 2)


def twist_with_whole_lattice_and_both_backflows():
    sector = space_group(TWISTED, "C1").sector((1, 2))
    orbitals = free_orbitals(TWISTED, (1, 2), cell=(3, 4))
    return TWISTED, sector, network(TWISTED, orbitals, backflow="both"), (1, 12, 1)


def a_few_cells_and_complex_parameters():
    sector = space_group(TWISTED, "C1").sector((0, 1))
    orbitals = free_orbitals(TWISTED, (0, 1), cell=(1, 2), n_determinants=2)
    return TWISTED, sector, network(TWISTED, orbitals, param_dtype=complex), (1, 2, 2)


def two_spins_and_their_flip():
    sector = space_group(HUBBARD, "C1").sector((1, 0), spin_flip="odd")
    orbitals = free_orbitals(HUBBARD, (1, 0), cell=(2, 3))
    distances = HashableArray(HUBBARD.distance_shells)
    return HUBBARD, sector, network(HUBBARD, orbitals, distances=distances), (2, 6, 1)


def two_sites_in_a_cell():
    sector = space_group(HONEYCOMB).sector((0, 0), "A2")
    orbitals = free_orbitals(HONEYCOMB, (0, 0), cell=(2, 2))
    return HONEYCOMB, sector, network(HONEYCOMB, orbitals), (12, 4, 1)


CASES = [
    plane_waves_and_point_group,
    one_row_of_e_with_given_real_orbitals,
    twist_with_whole_lattice_and_both_backflows,
    a_few_cells_and_complex_parameters,
    two_spins_and_their_flip,
    two_sites_in_a_cell,
]


@pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])
def test_projection_is_the_explicit_sum(case):
    model, sector, backflow, shape = case()
    symmetry = elements(sector)
    plan = projection_plan(symmetry, backflow.orbitals, backflow.size, backflow.periodic)
    assert plan.weights.shape == shape
    x = all_configurations(model.n_sites, model.particles)
    module = ProjectedBackflow(backflow, symmetry)
    inner, log = psi_and_log(module, with_random_parameters(module, x), x)
    psi, scale = np.exp(log), np.abs(inner).max()
    expected = explicit_projection(x, inner, symmetry, model.n_sites)
    assert np.abs(psi - expected).max() < 1e-11 * scale
    assert np.abs(psi).max() > 1e-3 * scale
    # A projector, on a part of the state that is neither all nor nothing.
    again = explicit_projection(x, psi, symmetry, model.n_sites)
    assert np.abs(again - psi).max() < 1e-11 * scale
    assert np.abs(psi - inner).max() > 1e-3 * scale
    assert np.all(np.isfinite(log))


def test_parity_under_any_permutation():
    """Elements need not form a group, nor be symmetries of the lattice."""
    rng = np.random.default_rng(5)
    permutations = np.array([rng.permutation(9) for _ in range(3)])
    phases = np.exp(2j * np.pi * rng.random((3, 9)))
    weights = rng.normal(size=3) + 1j * rng.normal(size=3)
    symmetry = SymmetryElements.from_arrays(permutations, phases, weights)
    backflow = network(TV, free_orbitals(TV, (1, 0), cell=(3, 3), real=False))
    x = all_configurations(9, (3,))
    module = ProjectedBackflow(backflow, symmetry)
    inner, log = psi_and_log(module, with_random_parameters(module, x), x)
    expected = explicit_projection(x, inner, symmetry, 9)
    assert np.abs(np.exp(log) - expected).max() < 1e-11 * np.abs(inner).max()


def test_same_as_netket_projection():
    """NetKet runs the network on every moved configuration, with fermionic signs of its own."""
    model = Lattice("hubbard", "3x3", (1, 2))
    orbitals = free_orbitals(model, (1, 0), cell=model.size, real=False)
    backflow = network(model, orbitals)
    x = all_configurations(model.n_sites, model.particles)[::7]
    module = ProjectedBackflow(backflow, elements(space_group(model, "C1").sector((1, 0))))
    variables = with_random_parameters(module, x)
    ours = np.asarray(jax.jit(module.apply)(variables, x))
    graph = nk.graph.Grid(model.size, pbc=True)
    order = np.asarray(graph.positions) @ [model.size[1], 1]
    assert np.array_equal(order, np.arange(model.n_sites))
    hilbert = nk.hilbert.SpinOrbitalFermions(model.n_sites, s=0.5, n_fermions_per_spin=model.particles)
    state = nk.vqs.MCState(
        nk.sampler.ExactSampler(hilbert), backflow, variables={"params": variables["params"]["backflow"]}
    )
    translations = nk.symmetry.canonical_representation(hilbert, graph.translation_group())
    theirs = np.asarray(translations.project(state, k=(2 * np.pi / 3, 0.0)).log_value(x))
    assert np.allclose(np.exp(ours), np.exp(theirs), rtol=1e-10, atol=1e-12 * np.exp(theirs.real.max()))
    assert np.ptp(ours.real) > 0.1


def test_where_everything_vanishes():
    """Finite logarithms, and derivatives that are zero instead of NaN."""
    x = all_configurations(9, (3,))[:4]
    symmetry = elements(space_group(TV, "C1").sector((0, 0)))
    for orbitals in (given_orbitals(np.ones((3, 9))), given_orbitals(np.ones((3, 9), dtype=complex))):
        module = ProjectedBackflow(network(TV, (orbitals,), backflow="none"), symmetry)
        shapes = jax.eval_shape(module.init, jax.random.key(0), x[:1])
        variables = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes)

        def total(v, module=module):
            log = module.apply(v, x)
            return jnp.sum(log.real) + jnp.sum(log.imag), log

        gradient, log = jax.jit(jax.grad(total, has_aux=True))(variables)
        assert np.all(log.real < -600)
        assert np.all(np.isfinite(log))
        assert all(np.all(np.asarray(leaf) == 0.0) for leaf in jax.tree.leaves(gradient))


def test_gradient_is_the_derivative():
    sector = space_group(TWISTED, "C1").sector((0, 1))
    orbitals = free_orbitals(TWISTED, (0, 1), cell=(1, 2))
    x = all_configurations(12, (3,))[5::10]
    module = ProjectedBackflow(network(TWISTED, orbitals, backflow="both"), elements(sector))
    variables = with_random_parameters(module, x)
    rng = np.random.default_rng(2)
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), variables)
    both = jax.jit(lambda v: jax.jvp(lambda w: module.apply(w, x), (v,), (direction,)))
    evaluate = lambda v: both(v)[0]  # noqa: E731
    slope = both(variables)[1]
    step = 1e-5

    def at(distance):
        return np.exp(evaluate(jax.tree.map(lambda a, b: a + distance * b, variables, direction)))

    numerical = (at(step) - at(-step)) / (2 * step)
    psi = np.exp(evaluate(variables))
    assert np.allclose(slope * psi, numerical, rtol=1e-6, atol=1e-6 * np.abs(numerical).max())


@pytest.mark.parametrize(
    ("model", "sector"),
    [
        (TWISTED, {"momentum": (0, 1)}),
        (Lattice("hubbard", "2x2", "2,2"), {"momentum": (0, 0), "spin_flip": 1}),
    ],
    ids=["twisted", "spin flip"],
)
@pytest.mark.slow
def test_any_network_is_projected_by_the_sum_over_the_group(model, sector):
    symmetry = elements(space_group(model).sector(**{"irrep": None, **sector}))
    orbitals = free_orbitals(model, sector["momentum"], cell=model.size)
    own = ProjectedBackflow(network(model, orbitals), symmetry)
    general = ProjectedNetwork(own.backflow, symmetry)
    x = all_configurations(model.n_sites, model.particles)[::3]
    variables = with_random_parameters(own, x)
    renamed = {"params": {"network": variables["params"]["backflow"]}}
    found, expected = (np.exp(log_psi(*given, x)) for given in ((general, renamed), (own, variables)))
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert general.is_real == own.is_real
    assert general.n_passes == np.count_nonzero(np.asarray(symmetry.weights))


def test_orbitals_of_another_momentum_are_refused():
    orbitals = free_orbitals(TV, (0, 0))
    symmetry = elements(space_group(TV, "C1").sector((1, 0)))
    with pytest.raises(ValueError, match="no part in this sector"):
        projection_plan(symmetry, orbitals, TV.size, TV.periodic)


def test_bad_elements_say_what_is_wrong():
    identity = np.arange(9)[None]
    for arguments, message in [
        ((np.zeros((1, 9), int),), "every site in every row once"),
        ((identity, np.ones((2, 9))), r"phases must have shape \(1, 9\)"),
        ((identity, None, np.ones(2)), r"weights must have shape \(1,\)"),
        ((identity, None, None, np.ones(2)), r"spin_flips must have shape \(1,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            SymmetryElements.from_arrays(*arguments)
    x = all_configurations(9, (3,))[:1]
    real = network(TV, (given_orbitals(np.eye(3, 9)),))
    for symmetry, message in [
        (SymmetryElements.from_arrays(identity, np.full((1, 9), 1j)), r"not \+-1 need complex orbitals"),
        (SymmetryElements.from_arrays(identity, spin_flips=np.ones(1)), "spin flip needs two spins"),
    ]:
        with pytest.raises(ValueError, match=message):
            ProjectedBackflow(real, symmetry).init(jax.random.key(0), x)
    moved = SymmetryElements.from_arrays(np.random.default_rng(0).permutation(9)[None])
    with_jastrow = replace(real, distances=HashableArray(TV.distance_shells))
    with pytest.raises(ValueError, match="changes the distances"):
        ProjectedBackflow(with_jastrow, moved)
