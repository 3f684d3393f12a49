"""The backflow ansatz against determinants made by hand from its parameters."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnbf.ansatz import NeuralBackflow
from tests.determinants.oracles import configurations, flat, log_psi, occupations, random_variables


def make(model):
    return random_variables(model, 2 * model.n_orbitals)


def values(model, variables, x) -> np.ndarray:
    """Real psi (n,) from the complex logarithm."""
    psi = np.exp(np.asarray(log_psi(model, variables, jnp.asarray(x))))
    assert np.abs(psi.imag).max(initial=0.0) < 1e-12
    return psi.real


def by_hand(model, variables, config) -> float:
    """Sum of determinants of the occupied rows, orbital by orbital."""
    m, n_a, n_b = model.n_orbitals, model.n_alpha, model.n_beta

    params = jax.tree.map(np.asarray, variables["params"])

    def without_symmetry(alpha, beta):
        h = np.array(
            [1.0 if p in alpha else -1.0 for p in range(m)] + [1.0 if q in beta else -1.0 for q in range(m)]
        )
        for k in range(len(model.hidden)):
            layer = params[f"hidden_{k}"]
            h = np.tanh(h @ layer["kernel"] + layer["bias"])
        outputs = h @ params["orbitals"]["kernel"] + params["orbitals"]["bias"]
        total = 0.0
        for out in outputs.reshape(model.n_determinants, -1):
            if model.blocked:
                up, down = out[: m * n_a].reshape(m, n_a), out[m * n_a :].reshape(m, n_b)
                total += np.linalg.det(up[list(alpha)]) * np.linalg.det(down[list(beta)])
            else:
                phi = out.reshape(2 * m, n_a + n_b)
                total += np.linalg.det(phi[[*alpha, *(m + q for q in beta)]])
        return total

    alpha, beta = config
    if model.spin_flip == "average":
        return without_symmetry(alpha, beta) + without_symmetry(beta, alpha)
    if model.spin_flip == "canonical":
        alpha, beta = sorted((alpha, beta), key=lambda spin: sum(2**p for p in spin))
    return without_symmetry(alpha, beta)


@pytest.mark.parametrize("blocked", [True, False], ids=["blocked", "one matrix"])
@pytest.mark.parametrize(
    ("spin_flip", "n_alpha", "n_beta", "n_determinants", "hidden"),
    [
        ("none", 2, 1, 1, ()),
        ("none", 2, 2, 3, (5,)),
        ("average", 2, 2, 2, (5,)),
        ("canonical", 2, 2, 1, (5, 4)),
    ],
)
def test_amplitudes_are_determinants(spin_flip, n_alpha, n_beta, n_determinants, hidden, blocked):
    model = NeuralBackflow(4, n_alpha, n_beta, n_determinants, hidden, blocked=blocked, spin_flip=spin_flip)
    variables = make(model)
    configs = configurations(4, n_alpha, n_beta)
    psi = values(model, variables, occupations(configs, 4))
    expected = np.array([by_hand(model, variables, config) for config in configs])
    assert np.allclose(psi, expected, rtol=1e-10, atol=1e-13)
    assert (psi < 0).any()
    assert (psi > 0).any()
    if spin_flip != "none":
        flipped = values(model, variables, occupations([config[::-1] for config in configs], 4))
        assert np.allclose(flipped, psi, rtol=1e-12)
    sign, log_abs = jax.jit(partial(model.apply, method="signed_log"))(variables, occupations(configs, 4))
    assert np.allclose(sign * np.exp(log_abs), psi, rtol=1e-12)


def test_without_symmetry_flipped_determinants_differ():
    """Otherwise the symmetry above would be no achievement."""
    model = NeuralBackflow(4, 2, 2, hidden=(5,))
    configs = configurations(4, 2, 2)
    variables = make(model)
    psi = values(model, variables, occupations(configs, 4))
    flipped = values(model, variables, occupations([config[::-1] for config in configs], 4))
    assert np.abs(psi - flipped).max() > 0.1


@pytest.mark.parametrize("spin_flip", ["none", "average", "canonical"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool, np.float32])
def test_type_of_the_occupations_does_not_matter(spin_flip, dtype):
    model = NeuralBackflow(4, 2, 2, hidden=(5,), spin_flip=spin_flip)
    variables = make(model)
    x = occupations(configurations(4, 2, 2), 4)
    assert np.allclose(values(model, variables, x.astype(dtype)), values(model, variables, x), rtol=1e-12)


@pytest.mark.parametrize("dtype", [float, np.uint8, np.int8, bool])
@pytest.mark.parametrize("spin_flip", ["none", "canonical"])
def test_amplitudes_vanish_in_other_irreps(spin_flip, dtype):
    """And are what they were in the irrep of the reference."""
    irreps, reference = (0, 1, 3, 1), ((0, 1), (1, 2))
    options = {"hidden": (5,), "spin_flip": spin_flip, "reference": reference}
    free = NeuralBackflow(4, 2, 2, **options)
    restricted = NeuralBackflow(4, 2, 2, orbital_irreps=irreps, **options)
    variables = make(free)
    configs = configurations(4, 2, 2)
    x = occupations(configs, 4).astype(dtype)
    allowed = [np.bitwise_xor.reduce([irreps[p] for p in (*alpha, *beta)]) == 3 for alpha, beta in configs]
    assert 0 < sum(allowed) < len(configs)
    expected = np.where(allowed, values(free, variables, x.astype(float)), 0.0)
    assert np.allclose(values(restricted, variables, x), expected, rtol=1e-12, atol=0)


def test_batch_dimensions():
    model = NeuralBackflow(3, 2, 1, hidden=(4,))
    variables = make(model)
    x = occupations(configurations(3, 2, 1), 3)
    psi = values(model, variables, x)
    assert values(model, variables, x[2]).shape == ()
    assert np.allclose(values(model, variables, x.reshape(3, 3, 6)), psi.reshape(3, 3), rtol=1e-12)
    assert np.allclose([values(model, variables, row) for row in x], psi, rtol=1e-12)


@pytest.mark.parametrize(
    ("spin_flip", "reference", "blocked"),
    [
        ("none", None, True),
        ("none", ((1, 3), (0, 2)), True),
        ("none", ((1, 3), (0, 2)), False),
        ("average", ((1, 3), (0, 2)), True),
        ("average", None, False),
        ("canonical", ((0, 2), (1, 3)), True),
        ("canonical", ((1, 3), (0, 2)), True),
        ("canonical", ((1, 3), (0, 2)), False),
    ],
)
def test_initial_state_is_near_the_reference(spin_flip, reference, blocked):
    model = NeuralBackflow(
        4, 2, 2, 2, (8,), spin_flip=spin_flip, reference=reference, blocked=blocked, noise=0.01
    )
    configs = configurations(4, 2, 2)
    wanted = reference or ((0, 1), (0, 1))
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8)))
    weight = np.abs(values(model, variables, occupations(configs, 4)))
    occupied = {wanted} if spin_flip == "none" else {wanted, wanted[::-1]}
    for config, size in zip(configs, weight, strict=True):
        if config in occupied:
            # Two determinants, each near one; doubled where a flip pair that is one state is added up.
            assert size == pytest.approx(
                4.0 if spin_flip == "average" and len(occupied) == 1 else 2.0, rel=0.2
            )
        else:
            assert size < 0.3


@pytest.mark.parametrize("blocked", [True, False], ids=["blocked", "one matrix"])
@pytest.mark.parametrize(
    ("size", "n_alpha", "n_beta"),
    [(1, 0, 0), (3, 0, 0), (1, 1, 0), (3, 0, 1), (1, 1, 1), (3, 3, 3), (3, 3, 0)],
)
def test_edges_of_the_number_of_electrons(size, n_alpha, n_beta, blocked):
    """No electron, one electron, every orbital filled."""
    flips = ("none", "average", "canonical") if n_alpha == n_beta and blocked else ("none",)
    for spin_flip in flips:
        model = NeuralBackflow(size, n_alpha, n_beta, 2, (3,), blocked=blocked, spin_flip=spin_flip)
        variables = make(model)
        configs = configurations(size, n_alpha, n_beta)
        psi = values(model, variables, occupations(configs, size))
        assert np.allclose(psi, [by_hand(model, variables, config) for config in configs], rtol=1e-10)
        if n_alpha + n_beta == 0:
            # Two empty determinants, each 1.
            assert psi == pytest.approx([4.0 if spin_flip == "average" else 2.0])


@pytest.mark.parametrize(
    ("n_determinants", "spin_flip"), list(product([1, 2], ["none", "average", "canonical"]))
)
def test_gradients_stay_finite_where_all_determinants_vanish(n_determinants, spin_flip):
    model = NeuralBackflow(3, 2, 2, n_determinants, (4,), spin_flip=spin_flip)
    variables = random_variables(model, 6, scale=0.0)
    x = jnp.asarray(occupations(configurations(3, 2, 2), 3))

    def total(params):
        log_abs = jnp.real(model.apply({"params": params}, x))
        return jnp.sum(log_abs), log_abs

    gradient, log_abs = jax.jit(jax.grad(total, has_aux=True))(variables["params"])
    assert np.all(np.isneginf(log_abs))
    assert np.all(flat(gradient) == 0.0)


def test_gradient_where_one_of_two_determinants_vanishes():
    """What is left is the other one's, divided by the sum."""
    two = NeuralBackflow(3, 2, 1, 2, ())
    one = NeuralBackflow(3, 2, 1, 1, ())
    params = make(two)["params"]
    half = params["orbitals"]["bias"].size // 2
    params["orbitals"] = jax.tree.map(lambda leaf: leaf.at[..., half:].set(0.0), params["orbitals"])
    first = {"orbitals": jax.tree.map(lambda leaf: leaf[..., :half], params["orbitals"])}
    x = jnp.asarray(occupations(configurations(3, 2, 1), 3))

    def jacobian(model, p):
        return jax.jit(jax.jacrev(lambda q: jnp.real(model.apply({"params": q}, x))))(p)["orbitals"]

    both, alone = jacobian(two, params), jacobian(one, first)
    for name in ("kernel", "bias"):
        assert np.allclose(both[name][..., :half], alone[name], rtol=1e-10)
        assert np.all(np.asarray(both[name][..., half:]) == 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spin_flip": "even"}, "spin_flip must be none, average, canonical or odd, got 'even'"),
        ({"spin_flip": "average", "n_beta": 1}, "as many alpha as beta electrons, got 2 and 1"),
        ({"spin_flip": "canonical", "n_alpha": 1}, "as many alpha as beta electrons, got 1 and 2"),
        ({"n_alpha": 5}, "5 .* electrons .* 4 orbitals"),
        ({"n_beta": -1}, "-1 electrons"),
        ({"n_determinants": 0}, "n_determinants must be at least 1, got 0"),
        ({"reference": ((0, 1), (0,))}, r"reference must name 2 different beta orbitals below 4, got \(0,\)"),
        ({"reference": ((0, 1), (0, 4))}, r"beta orbitals below 4, got \(0, 4\)"),
        ({"reference": ((0, 0), (0, 1))}, r"2 different alpha orbitals below 4, got \(0, 0\)"),
        ({"reference": ((0, 1, 2), (0, 1))}, r"2 different alpha orbitals below 4, got \(0, 1, 2\)"),
    ],
)
def test_bad_arguments_say_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        NeuralBackflow(**{"n_orbitals": 4, "n_alpha": 2, "n_beta": 2, **arguments})
