"""Networks in files: every field comes back, and nothing else is made of a file."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from netket.utils import HashableArray

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from nnbf.ansatz import (
    EquivariantBackflow,
    NeuralBackflow,
    ProjectedBackflow,
    SymmetryElements,
    ansatz_from_spec,
    ansatz_spec,
    free_orbitals,
    given_orbitals,
    register_ansatz,
    staggered_orbitals,
)
from nnbf.states.amplitudes import initial_variables


def again(module):
    """The module after a trip through JSON text."""
    return ansatz_from_spec(json.loads(json.dumps(ansatz_spec(module), allow_nan=False)))


def molecular(**fields):
    return NeuralBackflow(4, 2, 2, **fields)


@pytest.mark.parametrize(
    "module",
    [
        molecular(),
        molecular(n_determinants=3, hidden=(8, 8), blocked=False, noise=0.1 + 0.2, activation=nn.gelu),
        molecular(spin_flip="average", reference=((0, 2), (0, 1)), param_dtype=jnp.float32),
        molecular(spin_flip="canonical", orbital_irreps=(0, 1, 0, 3)),
    ],
)
def test_molecular_networks_come_back_equal(module):
    assert again(module) == module
    assert hash(again(module)) == hash(module)


def spinless():
    return Lattice("tv", (3, 2), (2,), V=1.0)


def hubbard():
    return Lattice("hubbard", (4, 2), (4, 4), U=4.0)


def lattice_networks():
    model = spinless()
    yield EquivariantBackflow(model.size, free_orbitals(model, real=False), param_dtype=jnp.complex128)
    rows = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 2)))[0].T
    orbitals = (given_orbitals(rows),)
    ranks = np.abs(np.arange(6)[:, None] - np.arange(6))
    yield EquivariantBackflow(model.size, orbitals, distances=HashableArray(ranks), repulsion=(-0.1, 0.2))
    phases = np.exp(2j * np.pi * np.arange(3) / 3)
    symmetry = SymmetryElements.from_arrays(
        [[0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 0, 1], [4, 5, 0, 1, 2, 3]], weights=phases / 3
    )
    inner = EquivariantBackflow(model.size, free_orbitals(model, real=False), backflow="both", features=4)
    yield ProjectedBackflow(inner, symmetry)
    half = staggered_orbitals(hubbard())
    yield EquivariantBackflow((4, 2), half, total_spin=0, network_jastrow=True, activation=nn.tanh)


@pytest.mark.parametrize("module", list(lattice_networks()))
def test_lattice_networks_come_back_equal_with_the_same_values(module):
    other = again(module)
    assert other == module
    inner = module.backflow if isinstance(module, ProjectedBackflow) else module
    x = np.zeros((1, inner.n_sites * inner.n_spins))
    for spin, orbitals in enumerate(inner.orbitals):
        x[0, spin * inner.n_sites : spin * inner.n_sites + orbitals.n_particles] = 1.0
    variables = initial_variables(module, jax.random.key(1), x)
    found, expected = (jax.jit(network.apply)(variables, x) for network in (other, module))
    assert np.array_equal(found, expected)


def test_equal_networks_share_compiled_code():
    traces = []

    @register_ansatz("counted for a test")
    class Counted(nn.Module):
        width: int = 3

        def __call__(self, x):
            traces.append(1)
            return x.sum(-1) * self.width

    apply = jax.jit(lambda module, x: module.apply({}, x), static_argnums=0)
    apply(Counted(), jnp.ones((2, 2)))
    apply(again(Counted()), jnp.ones((2, 2)))
    assert len(traces) == 1


def test_unknown_kinds_fields_and_values_are_refused_in_one_line():
    spec = ansatz_spec(molecular())
    for wrong, words in [
        ({**spec, "kind": "os.system"}, "unknown kind of network"),
        ({**spec, "kind": 3}, "unknown kind of network"),
        ({**spec, "depth": 3}, "unknown fields depth"),
        ({**spec, "n_alpha": 9}, "do not fit"),
        ({key: spec[key] for key in spec if key != "n_alpha"}, "do not fit"),
        ({**spec, "activation": {"kind": "function", "name": "eval"}}, "unknown function 'eval'"),
        ({**spec, "param_dtype": {"kind": "dtype", "name": "object"}}, "unknown dtype"),
        (ansatz_spec(SymmetryElements.identity(2)), "which is no network"),
        ({**spec, "reference": {"kind": "array", "dtype": "O", "shape": [1], "data": ""}}, "cannot be read"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            ansatz_from_spec(wrong)
        assert "\n" not in str(caught.value)


def test_missing_fields_are_defaults():
    spec = {"kind": "neural_backflow", "n_orbitals": 4, "n_alpha": 2, "n_beta": 2}
    assert ansatz_from_spec(spec) == molecular()


def test_what_cannot_be_stored_is_named():
    with pytest.raises(TypeError, match=r"neural_backflow.activation cannot be stored"):
        ansatz_spec(molecular(activation=lambda x: x))

    class Unknown(nn.Module):
        def __call__(self, x):
            return x

    with pytest.raises(TypeError, match="Unknown is not registered"):
        ansatz_spec(Unknown())


def test_names_are_given_once():
    class Other(nn.Module):
        pass

    with pytest.raises(ValueError, match="taken"):
        register_ansatz("neural_backflow")(Other)
    with pytest.raises(ValueError, match="taken"):
        register_ansatz("array")(Other)
    with pytest.raises(TypeError, match="no data class"):
        register_ansatz("a plain class")(type("Plain", (), {}))
