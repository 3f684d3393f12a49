"""A small problem with an explicit Jacobian beside the structured one."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.flatten_util import ravel_pytree

from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import (
    build_tables,
    hamiltonian_matrix,
    multiplicities,
    spin_flip_representatives,
    symmetrised,
    unpack_occupations,
)
from nnbf.optimize import TangentProblem, gradient_factors
from tests.determinants.oracles import (
    bit_strings,
    configurations,
    normalised_amplitudes,
    random_integrals,
    random_variables,
)


def make_problem(matrix_of=None, seed=0):
    """A folded space of 24 determinants, and J = dc/dtheta by differentiating the normalised amplitudes."""
    integrals = random_integrals(4, 2, 2, seed=4)
    candidates = spin_flip_representatives(bit_strings(configurations(4, 2, 2), 4))
    unique = np.unique(candidates, axis=0)
    space = np.random.default_rng(1).permutation(unique)[:17]
    multiplicity = multiplicities(space, True)
    model = NeuralBackflow(4, 2, 2, hidden=(5,), spin_flip="canonical")
    x = jnp.asarray(unpack_occupations(space, 4), float)
    params = random_variables(model, 8, seed)["params"]
    flat_params, unravel = ravel_pytree(params)

    def amplitudes(vector):
        return normalised_amplitudes(model.apply({"params": unravel(vector)}, x), multiplicity)

    c = np.asarray(jax.jit(amplitudes)(flat_params))
    if matrix_of is None:
        plain = hamiltonian_matrix(build_tables(integrals), space, fold=True)
        matrix = symmetrised(plain, multiplicity).tocsr()
    else:
        matrix = scipy.sparse.csr_matrix(matrix_of(c))
    factors = jax.jit(lambda p: gradient_factors(lambda q, y: jnp.real(model.apply({"params": q}, y)), p, x))(
        params
    )
    dense = jnp.asarray(matrix.toarray())

    @jax.jit
    def energy(vector):
        d = amplitudes(vector)
        return d @ dense @ d

    return SimpleNamespace(
        tangent=TangentProblem(factors, params, c, matrix),
        params=params,
        unravel=unravel,
        flat_params=flat_params,
        amplitudes=c,
        matrix=matrix.toarray(),
        jacobian=np.asarray(jax.jit(jax.jacrev(amplitudes))(flat_params)),
        energy=energy,
    )


@pytest.fixture(scope="package")
def problem():
    """Random amplitudes on a random molecular Hamiltonian."""
    return make_problem()


@pytest.fixture(scope="package")
def later_problem():
    """The same space and network with other parameters."""
    return make_problem(seed=1)


@pytest.fixture(scope="package")
def near_minimum():
    """Amplitudes next to the lowest eigenvector of a dense matrix: a tiny residual, positive curvature."""

    def matrix(c):
        rng = np.random.default_rng(2)
        inside = np.eye(len(c)) - np.outer(c, c)
        b = rng.normal(size=(len(c), len(c)))
        v = inside @ rng.normal(size=len(c))
        coupling = 1e-8 * (np.outer(c, v) + np.outer(v, c))
        return -3.0 * np.outer(c, c) + inside @ (b @ b.T) @ inside + coupling

    return make_problem(matrix)


@pytest.fixture(scope="package")
def at_maximum():
    """Amplitudes near the highest eigenvector: negative curvature in every direction."""

    def matrix(c):
        inside = np.eye(len(c)) - np.outer(c, c)
        v = inside @ np.random.default_rng(3).normal(size=len(c))
        return 3.0 * np.outer(c, c) - inside + 0.05 * (np.outer(c, v) + np.outer(v, c))

    return make_problem(matrix)
