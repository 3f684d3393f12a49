"""Optimisers against their equations with an explicit Jacobian."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.sparse
from jax.flatten_util import ravel_pytree

from nnbf.optimize import (
    FirstOrder,
    FitToVector,
    GradientFactors,
    RayleighGaussNewton,
    StochasticReconfiguration,
    TangentProblem,
)
from nnbf.optimize.rgn import RgnState
from tests.determinants.oracles import flat

#: Plain SR, solved as exactly by conjugate gradients as directly.
EXACT_SR = {
    "diag_shift": 1e-2, "momentum": 0.0, "max_step": 1e6, "cg_iterations": 1000, "cg_tolerance": 1e-12,
}  # fmt: skip
OPTIMIZERS = {
    "rgn": RayleighGaussNewton(),
    "rgn, conjugate gradients": RayleighGaussNewton(dense_limit=0),
    "sr": StochasticReconfiguration(),
    "sr, conjugate gradients": StochasticReconfiguration(dense_limit=0),
    "sr, Davidson's steps": StochasticReconfiguration(gap=1.0),
    "sr, Davidson's steps, conjugate gradients": StochasticReconfiguration(gap=1.0, dense_limit=0),
    "adam": FirstOrder(),
    "sgd": FirstOrder(optax.sgd(1e-3)),
}


def test_the_tangent_problem_is_the_derivative_of_the_normalised_state(problem):
    tangent, c = problem.tangent, problem.amplitudes
    assert tangent.size == len(c) == 17
    assert tangent.energy == pytest.approx(c @ problem.matrix @ c, abs=1e-12)
    assert np.allclose(tangent.residual, problem.matrix @ c - tangent.energy * c, rtol=0, atol=1e-12)
    direction = np.random.default_rng(0).normal(size=problem.jacobian.shape[1])
    assert np.allclose(
        tangent.forward(problem.unravel(direction)), problem.jacobian @ direction, rtol=1e-10, atol=1e-12
    )
    gradient = 2.0 * flat(tangent.backward(tangent.residual))
    assert np.allclose(gradient, jax.grad(problem.energy)(problem.flat_params), rtol=1e-9, atol=1e-11)
    step = 1e-5 * direction
    difference = problem.energy(problem.flat_params + step) - problem.energy(problem.flat_params - step)
    assert difference / 2 == pytest.approx(gradient @ step, rel=1e-5)
    # The state stays normalised to first order.
    assert np.abs(c @ problem.jacobian).max() < 1e-12


def test_curvature_and_shifted_matrix(problem):
    change = np.random.default_rng(1).normal(size=(17, 3))
    shifted = problem.matrix - problem.tangent.energy * np.eye(17)
    assert np.allclose(problem.tangent.shifted(change), shifted @ change, rtol=0, atol=1e-11)
    assert np.allclose(problem.tangent.shifted(change[:, 0]), shifted @ change[:, 0], rtol=0, atol=1e-11)
    expected = change[:, 0] @ shifted @ change[:, 0]
    assert problem.tangent.curvature(change[:, 0]) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("damping", [1e-3, 1.0])
@pytest.mark.parametrize("where", ["near_minimum", "problem"])
def test_dense_rgn_solves_the_equations_in_parameter_space(where, damping, request):
    """(J^T (H - E + shift) J + damping) dtheta = -J^T r, shifted where H - E has a negative eigenvalue."""
    given = request.getfixturevalue(where)
    jacobian, tangent, c = given.jacobian, given.tangent, given.amplitudes
    inside = np.eye(len(c)) - np.outer(c, c)
    shifted = given.matrix - tangent.energy * np.eye(len(c))
    # Large on c itself, which the step does not contain.
    lowest = np.linalg.eigvalsh(inside @ shifted @ inside + 100.0 * np.outer(c, c))[0]
    assert (lowest > 0) == (where == "near_minimum")
    shift = 0.0 if lowest > 0 else 0.1 - lowest
    normal = jacobian.T @ (shifted + shift * np.eye(len(c))) @ jacobian + damping * np.eye(jacobian.shape[1])
    expected = np.linalg.solve(normal, -jacobian.T @ tangent.residual)
    optimizer = RayleighGaussNewton(max_step=1e6)
    proposal, state = optimizer.propose(tangent, RgnState(damping))
    assert state == RgnState(damping, definite=bool(lowest > 0))
    assert proposal.iterations == 0
    assert np.allclose(flat(proposal.update), expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    change = jacobian @ expected
    assert np.allclose(proposal.change, change, rtol=0, atol=1e-7 * np.abs(change).max())
    model = 2 * change @ tangent.residual + change @ shifted @ change
    assert proposal.predicted == pytest.approx(model, rel=1e-6)


@pytest.mark.parametrize("where", ["near_minimum", "problem"])
def test_a_few_explicit_parameters_are_solved_for_directly(where, request):
    given = request.getfixturevalue(where)
    few = 9
    explicit = given.jacobian[:, :few] / given.amplitudes[:, None]
    params = {"w": jnp.zeros((3, 3))}
    tangent = TangentProblem(
        GradientFactors((), jnp.asarray(explicit)),
        params,
        given.amplitudes,
        scipy.sparse.csr_matrix(given.matrix),
    )
    assert tangent.n_explicit == few
    assert np.allclose(tangent.jacobian(), given.jacobian[:, :few], rtol=0, atol=1e-10)
    directly = RayleighGaussNewton(dense_limit=few, max_step=1e6)
    by_space = RayleighGaussNewton(max_step=1e6)
    found, state = directly.propose(tangent, RgnState(1e-3))
    reduced, shift = tangent.jacobian(), 0.0
    if not state.definite:
        inside = np.eye(17) - np.outer(given.amplitudes, given.amplitudes)
        gaps = np.linalg.eigvalsh(inside @ (given.matrix - tangent.energy * np.eye(17)) @ inside)
        shift = 0.1 - gaps[0]
    normal = reduced.T @ (tangent.shifted(reduced) + shift * reduced) + 1e-3 * np.eye(few)
    expected = np.linalg.solve(normal, -reduced.T @ tangent.residual)
    assert np.allclose(found.update["w"].ravel(), expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    assert np.allclose(found.change, reduced @ expected, rtol=0, atol=1e-9)
    assert found.iterations == 0
    # The larger matrix is not factorised, though it may be.
    assert np.array_equal(flat(by_space.propose(tangent, RgnState(1e-3))[0].update), flat(found.update))


@pytest.mark.parametrize("core_size", [4, 2048])
def test_converged_conjugate_gradients_equal_the_dense_step(near_minimum, core_size):
    dense = RayleighGaussNewton(damping=1e-3)
    iterative = RayleighGaussNewton(
        damping=1e-3, dense_limit=0, cg_iterations=500, cg_tolerance=1e-11, core_size=core_size
    )
    expected, _ = dense.propose(near_minimum.tangent, dense.init(near_minimum.params))
    found, _ = iterative.propose(near_minimum.tangent, iterative.init(near_minimum.params))
    assert found.iterations > 0
    scale = np.abs(expected.change).max()
    assert scale > 0
    assert np.allclose(found.change, expected.change, rtol=0, atol=1e-5 * scale)
    assert np.allclose(
        flat(found.update), flat(expected.update), rtol=0, atol=1e-5 * np.abs(flat(expected.update)).max()
    )
    assert found.predicted == pytest.approx(expected.predicted, rel=1e-5)


def test_conjugate_gradients_are_preconditioned_by_what_counts_in_their_matrix():
    """Not by large amplitudes: here those have next to no gradient, and the rest fits into the core."""
    rng = np.random.default_rng(5)
    amplitudes = np.repeat([0.3, 0.01], [10, 20])
    amplitudes /= np.linalg.norm(amplitudes)
    explicit = rng.standard_normal((30, 40)) * np.repeat([1e-5, 1.0], [10, 20])[:, None]
    matrix = np.diag(np.append([-2.0], np.linspace(1.0, 2.0, 29))) + 0.02
    tangent = TangentProblem(
        GradientFactors((), jnp.asarray(explicit)),
        {"w": jnp.zeros(40)},
        amplitudes,
        scipy.sparse.csr_matrix(matrix),
    )
    optimizer = RayleighGaussNewton(dense_limit=0, core_size=20, cg_tolerance=1e-2)
    proposal, _ = optimizer.propose(tangent, RgnState(1e-8, definite=True))
    assert 0 < proposal.iterations <= 3


@pytest.mark.parametrize("dense_limit", [4096, 0])
@pytest.mark.parametrize("damping", [1e-3, 1.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_fit_solves_the_equations_in_parameter_space(problem, damping, sign, dense_limit):
    """Least squares to a vector near the state, weighted with the diagonal; its sign means nothing."""
    c, jacobian = problem.amplitudes, problem.jacobian
    target = c + 0.1 * np.random.default_rng(3).standard_normal(len(c)) / np.sqrt(len(c))
    target /= np.linalg.norm(target)
    like = RayleighGaussNewton(
        damping=damping, max_step=np.inf, dense_limit=dense_limit, core_size=5, cg_iterations=500
    )
    fit = FitToVector(like, sign * target, tolerance=1e-11)
    proposal, _ = fit.propose(problem.tangent, like.init(problem.params))
    weights = np.maximum(np.diag(problem.matrix) - problem.tangent.energy, 0.1)
    wanted = target / (c @ target) - c
    wanted *= c @ target / max(c @ target, 0.3)
    left = jacobian.T @ (weights[:, None] * jacobian) + damping * np.eye(jacobian.shape[1])
    expected = np.linalg.solve(left, jacobian.T @ (weights * wanted))
    assert np.allclose(ravel_pytree(proposal.update)[0], expected, rtol=1e-6, atol=1e-9)
    assert np.allclose(proposal.change, jacobian @ expected, rtol=1e-6, atol=1e-9)
    bounded, _ = FitToVector(RayleighGaussNewton(max_step=1e-3), target).propose(
        problem.tangent, like.init(problem.params)
    )
    assert np.linalg.norm(bounded.change) == pytest.approx(1e-3)


def test_rgn_step_leads_to_the_minimum(near_minimum):
    """Newton's method: the residual falls by orders of magnitude, as far as the network can follow."""
    optimizer = RayleighGaussNewton(damping=1e-10)
    proposal, _ = optimizer.propose(near_minimum.tangent, optimizer.init(near_minimum.params))
    moved = near_minimum.amplitudes + proposal.change
    before = np.linalg.norm(near_minimum.tangent.residual)
    product = near_minimum.matrix @ moved
    after = np.linalg.norm(product - (moved @ product) / (moved @ moved) * moved)
    assert after < 1e-3 * before


@pytest.mark.parametrize("dense_limit", [4096, 0])
def test_no_step_towards_a_maximum(at_maximum, dense_limit):
    """Newton's own step would end in the highest state, next door."""
    optimizer = RayleighGaussNewton(dense_limit=dense_limit)
    proposal, state = optimizer.propose(at_maximum.tangent, optimizer.init(at_maximum.params))
    assert proposal.change @ at_maximum.tangent.residual < 0
    assert proposal.predicted < -1e-4
    assert not state.definite
    blind, _ = optimizer.propose(at_maximum.tangent, RgnState(1e-3, definite=True))
    if dense_limit:
        assert blind.predicted > 0
    else:
        # Conjugate gradients meet the negative curvature and follow it.
        assert blind.predicted < 0
        assert blind.iterations == 0


@pytest.mark.parametrize("dense_limit", [4096, 0])
def test_sr_step_equals_explicit_sr(problem, dense_limit):
    """(J^T J + shift) dtheta = -learning_rate J^T r; rows of J carry the weights."""
    optimizer = StochasticReconfiguration(learning_rate=0.05, dense_limit=dense_limit, **EXACT_SR)
    jacobian, tangent = problem.jacobian, problem.tangent
    normal = jacobian.T @ jacobian + 1e-2 * np.eye(jacobian.shape[1])
    expected = -0.05 * np.linalg.solve(normal, jacobian.T @ tangent.residual)
    proposal, _ = optimizer.propose(tangent, optimizer.init(problem.params))
    assert np.allclose(flat(proposal.update), expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert np.allclose(proposal.change, jacobian @ expected, rtol=0, atol=1e-9)
    assert (proposal.iterations > 0) == (dense_limit == 0)


@pytest.mark.parametrize("dense_limit", [4096, 0])
def test_steps_with_a_gap_are_those_of_davidson(problem, dense_limit):
    """(J^T D J + shift) dtheta = -J^T r with D = max(H_ii - E, 0) + gap: without a shift dc is -r / D."""
    optimizer = StochasticReconfiguration(learning_rate=1.0, gap=0.7, dense_limit=dense_limit, **EXACT_SR)
    jacobian, tangent = problem.jacobian, problem.tangent
    excitations = np.maximum(np.diag(problem.matrix) - tangent.energy, 0.0)
    assert excitations.max() > 1.0
    assert np.array_equal(tangent.excitations, excitations)
    normal = jacobian.T @ ((excitations + 0.7)[:, None] * jacobian)
    normal += 1e-2 * np.eye(jacobian.shape[1])
    expected = -np.linalg.solve(normal, jacobian.T @ tangent.residual)
    proposal, state = optimizer.propose(tangent, optimizer.init(problem.params))
    assert np.allclose(flat(proposal.update), expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert np.allclose(proposal.change, jacobian @ expected, rtol=0, atol=1e-9)
    # Of the carried direction the same equations are solved for what it lacks.
    following = replace(optimizer, momentum=0.6).propose(tangent, state)[1].direction
    missing = -jacobian.T @ (tangent.residual + 0.6 * (excitations + 0.7) * (jacobian @ expected))
    wanted = 0.6 * expected + np.linalg.solve(normal, missing)
    assert np.allclose(flat(following), wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())


def test_spring_carries_part_of_the_previous_direction(problem, later_problem):
    """d = mu d_prev + J^T (J J^T + shift)^-1 (-r - mu J d_prev), whatever the step bound did."""
    optimizer = StochasticReconfiguration(learning_rate=0.1, diag_shift=1e-3, momentum=0.6, max_step=0.01)
    state = optimizer.init(problem.params)
    previous = np.zeros(problem.jacobian.shape[1])
    for given in (problem, later_problem):
        j, r = given.jacobian, given.tangent.residual
        dual = np.linalg.solve(j @ j.T + 1e-3 * np.eye(len(r)), -r - 0.6 * j @ previous)
        previous = 0.6 * previous + j.T @ dual
        proposal, state = optimizer.propose(given.tangent, state)
        assert np.allclose(flat(state.direction), previous, rtol=0, atol=1e-8 * np.abs(previous).max())
        expected = 0.1 * previous
        expected *= min(1.0, 0.01 / np.linalg.norm(j @ expected))
        assert np.allclose(flat(proposal.update), expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def test_first_order_follows_the_gradient(problem):
    optimizer = FirstOrder(optax.sgd(1e-3))
    proposal, _ = optimizer.propose(problem.tangent, optimizer.init(problem.params))
    gradient = np.asarray(jax.grad(problem.energy)(problem.flat_params))
    assert np.allclose(flat(proposal.update), -1e-3 * gradient, rtol=1e-8, atol=1e-13)
    # Adam's first step has the size of its rate in every parameter that matters.
    optimizer = FirstOrder(optax.adam(0.02))
    state = optimizer.init(problem.params)
    proposal, new_state = optimizer.propose(problem.tangent, state)
    large = np.abs(gradient) > 1e-3
    assert large.any()
    assert np.allclose(flat(proposal.update)[large], -0.02 * np.sign(gradient[large]), rtol=1e-3)
    assert int(new_state.inner[0].count) == 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_proposes_a_descent_direction(problem, name):
    optimizer = OPTIMIZERS[name]
    tangent = problem.tangent
    proposal, _ = optimizer.propose(tangent, optimizer.init(problem.params))
    assert proposal.change @ tangent.residual < 0
    # What it says about its step is true.
    assert np.allclose(proposal.change, problem.jacobian @ flat(proposal.update), rtol=1e-8, atol=1e-11)
    model = 2 * proposal.change @ tangent.residual + tangent.curvature(proposal.change)
    assert proposal.predicted == pytest.approx(model, rel=1e-8)
    small = 1e-4 * jnp.asarray(flat(proposal.update))
    assert problem.energy(problem.flat_params + small) < problem.energy(problem.flat_params)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name[:2] in ("rg", "sr")])
@pytest.mark.parametrize("bound", [1e-4, 5e-3])
def test_step_bound(problem, name, bound):
    free = replace(OPTIMIZERS[name], max_step=1e6)
    bounded = replace(OPTIMIZERS[name], max_step=bound)
    long, _ = free.propose(problem.tangent, free.init(problem.params))
    short, _ = bounded.propose(problem.tangent, bounded.init(problem.params))
    length = np.linalg.norm(long.change)
    assert length > bound
    assert np.linalg.norm(short.change) == pytest.approx(bound, rel=1e-9)
    # The same direction, shortened.
    assert np.allclose(flat(short.update), flat(long.update) * (bound / length), rtol=1e-9)


def test_damping_follows_the_line_search():
    optimizer = RayleighGaussNewton(smallest_damping=1e-6, largest_damping=1e2)
    damping = {
        case: optimizer.adapt(RgnState(1e-3), None, *case).damping
        for case in [(0.0, 0.0), (0.5, 0.9), (1.0, 0.9), (1.0, 0.5)]
    }
    assert damping[0.0, 0.0] > damping[0.5, 0.9] > damping[1.0, 0.5] == 1e-3 > damping[1.0, 0.9]
    assert optimizer.adapt(RgnState(1e-6), None, 1.0, 1.0).damping == 1e-6
    assert optimizer.adapt(RgnState(1e2), None, 0.0, 0.0).damping == 1e2
