"""Levels of lattice sectors against exact diagonalisation."""

import itertools

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hamiltonians import InputError, Lattice, exact_levels, space_group
from nnbf.drivers import LatticeOptions, Monitor, solve
from nnbf.drivers.sector_levels import sector_state
from tests.determinants.oracles import log_psi

MODEL = Lattice("tv", (4, 3), 3, V=1.0)
SMALL = LatticeOptions(features=4, depth=1, noise=0.3)


@pytest.fixture(scope="module")
def complex_state():
    return sector_state(MODEL, space_group(MODEL).sector((1, 1)), SMALL)


@pytest.fixture(scope="module")
def real_state():
    return sector_state(MODEL, space_group(MODEL).sector((0, 0), "A1"), SMALL)


@pytest.fixture(params=["real_state", "complex_state"])
def state(request):
    return request.getfixturevalue(request.param)


def test_energy_is_that_of_netket(state):
    """The Rayleigh quotient over all configurations, without any symmetry."""
    from hamiltonians import lattice_configurations, lattice_to_sparse

    matrix = lattice_to_sparse(MODEL)
    psi = np.exp(np.asarray(log_psi(state.model, state.variables, lattice_configurations(MODEL))))
    psi = np.where(np.abs(psi) < 1e-250, 0.0, psi)
    expected = np.vdot(psi, matrix @ psi).real / np.vdot(psi, psi).real
    energy, variance = state.energy_and_variance()
    assert energy == pytest.approx(expected, abs=1e-10)
    assert state.objective_at(state.variables) == pytest.approx(expected, abs=1e-10)
    spread = np.linalg.norm(matrix @ psi - energy * psi) ** 2 / np.vdot(psi, psi).real
    assert variance == pytest.approx(spread, rel=1e-8)


def test_tangent_is_the_derivative_of_the_normalised_state(state):
    problem = state.tangent_problem()
    flat, unravel = ravel_pytree(state.parameters)
    direction = np.random.default_rng(1).normal(size=flat.size)
    direction /= np.linalg.norm(direction)

    def at(h):
        return state.amplitudes_at({"params": unravel(flat + h * direction)})

    expected = (at(1e-5) - at(-1e-5)) / 2e-5
    found = problem.forward(unravel(jax.numpy.asarray(direction)))
    assert np.linalg.norm(found - expected) < 1e-7 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("momentum", "irrep", "options"),
    [
        # The networks of the states above: their programs are compiled already.
        ((0, 0), "A1", SMALL),
        ((1, 1), None, SMALL),
        pytest.param((2, 0), "A1", LatticeOptions(features=4, depth=2), marks=pytest.mark.slow),
    ],
    ids=["real", "complex", "irrep of another momentum"],
)
def test_lowest_level_is_that_of_exact_diagonalisation(momentum, irrep, options):
    sector = space_group(MODEL).sector(momentum, irrep)
    exact = exact_levels(MODEL, sector).energies[0]
    rows = []
    level = solve(MODEL, options, monitor=Monitor(rows.append), sector=sector).lowest
    assert level.status == "converged"
    assert -1e-9 < level.energy.value - exact < 1e-5 * abs(exact)
    assert all(later["energy"] < earlier["energy"] + 1e-9 for earlier, later in itertools.pairwise(rows))
    assert rows[-1]["energy_kind"] == "full_sum"


def test_second_level_is_orthogonal_to_the_first():
    sector = space_group(MODEL).sector((0, 0))
    exact = exact_levels(MODEL, sector, k=2).energies
    first = solve(MODEL, LatticeOptions(features=4, depth=1), sector=sector).lowest
    second = solve(MODEL, LatticeOptions(features=4, n_determinants=2), lower=[first], sector=sector).lowest
    assert second.energy.value == pytest.approx(exact[1], rel=1e-3)
    assert second.details["overlap"] < 1e-3
    assert abs(np.vdot(first.state.vector(), second.state.vector())) == pytest.approx(
        second.details["overlap"]
    )


@pytest.mark.slow
def test_a_row_of_a_doublet_has_its_energy():
    model = Lattice("tv", (4, 4), 2, V=1.0)
    group = space_group(model)
    exact = exact_levels(model, group.sector((0, 0), "E")).energies[0]
    level = solve(model, LatticeOptions(features=4), sector=group.sector((0, 0), "E", row=1)).lowest
    assert level.energy.value == pytest.approx(exact, rel=1e-5)


@pytest.mark.slow
def test_two_spins_and_a_twist():
    model = Lattice("hubbard", (2, 2), (2, 1), U=4.0, boundary=(0.2, "apbc"))
    sector = space_group(model).sector((1, 0))
    exact = exact_levels(model, sector).energies[0]
    level = solve(model, LatticeOptions(features=4), sector=sector).lowest
    assert level.energy.value == pytest.approx(exact, rel=1e-4)


def test_bad_input():
    group = space_group(MODEL)
    with pytest.raises(InputError, match="full_sum_limit"):
        sector_state(MODEL, group.sector((0, 0)), LatticeOptions(full_sum_limit=3))
    square = Lattice("tv", (4, 4), 2)
    with pytest.raises(InputError, match="choose a row"):
        sector_state(square, space_group(square).sector((0, 0), "E"))
    with pytest.raises(InputError, match="features must be at least 1"):
        LatticeOptions(features=0)
