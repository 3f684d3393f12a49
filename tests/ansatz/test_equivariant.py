"""The equivariant backflow before projection: network, Jastrow factors, orbitals, exact momentum."""

from itertools import combinations

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from netket.utils import HashableArray

from hamiltonians import InputError
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.operators import lattice_configurations, lattice_to_sparse
from hamiltonians.lattice.space_group import space_group
from nnbf.ansatz.convolution import LatticeNetwork
from nnbf.ansatz.equivariant import EquivariantBackflow, ProjectedBackflow
from nnbf.ansatz.jastrow import DistanceJastrow
from nnbf.ansatz.orbitals import LatticeOrbitals, free_orbitals, given_orbitals
from nnbf.ansatz.projection import projection_plan
from tests.ansatz.lattice_oracles import (
    all_configurations,
    elements,
    explicit_projection,
    network_by_hand,
    with_random_parameters,
)

# ---- network and Jastrow factors ---------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"param_dtype": complex, "depth": 2}], ids=str)
def test_network_moves_with_its_input(options):
    network = LatticeNetwork(4, features=3, kernel=(3, 2), **options)
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 2))
    steps = [(0, 0), (1, 0), (0, 1), (3, 2)]
    moved = np.stack([np.roll(x, step, (1, 2)) for step in steps])
    out = np.asarray(jax.jit(network.apply)(with_random_parameters(network, x), moved))
    for step, found in zip(steps, out, strict=True):
        assert np.allclose(found, np.roll(out[0], step, (1, 2)), rtol=1e-12, atol=1e-13)
    assert np.abs(out[1] - out[0]).max() > 0.1


def test_jastrow_factors():
    """Against sums over pairs; the same for moved configurations."""
    model = Lattice("hubbard", "4x3", (2, 3))
    rng = np.random.default_rng(1)
    x = np.stack([rng.permutation(np.repeat([1.0, 0.0], [5, 19])) for _ in range(6)])
    moved = np.roll(x.reshape(6, 2, 4, 3), (1, 2), (2, 3)).reshape(6, 24)
    module = DistanceJastrow(HashableArray(model.distance_shells), 2)
    variables = with_random_parameters(module, x)
    same, opposite = (np.asarray(variables["params"][f"{name}_spin"]) for name in ("same", "opposite"))
    expected = np.zeros(6)
    for row, total in zip(x, range(6), strict=True):
        for p, q in combinations(np.flatnonzero(row), 2):
            d = model.distance_shells[p % 12, q % 12]
            expected[total] += opposite[d] if p // 12 != q // 12 else same[d - 1]
    assert np.allclose(module.apply(variables, x), expected, rtol=1e-12)
    assert np.allclose(module.apply(variables, moved), expected, rtol=1e-12)


# ---- determinants ------------------------------------------------------------------------------------


def test_amplitudes_by_hand():
    """Network, changed orbitals, determinants and Jastrow factors, all written out; an open direction."""
    model = Lattice("hubbard", "3x4", (2, 1), boundary=("open", "pbc"))
    rng = np.random.default_rng(3)
    start = [rng.normal(size=(2, n, 12)) for n in (2, 1)]
    orbitals = tuple(given_orbitals(matrix) for matrix in start)
    module = EquivariantBackflow(
        model.size,
        orbitals,
        backflow="both",
        features=3,
        depth=2,
        periodic=model.periodic,
        network_jastrow=True,
        distances=HashableArray(model.distance_shells),
    )
    x = all_configurations(12, (2, 1))[::60]
    variables = with_random_parameters(module, x)
    params = jax.tree.map(np.asarray, variables["params"])
    outputs = network_by_hand(module, params, x)
    up, down = outputs[..., :8].reshape(-1, 12, 2, 2, 2), outputs[..., 8:12].reshape(-1, 12, 2, 2, 1)
    factors = outputs[..., 12].sum(axis=1)
    expected = []
    for k, row in enumerate(x):
        total = 0.0
        for d in range(2):
            product = 1.0
            for block, change, name in ((row[:12], up, "orbitals_up"), (row[12:], down, "orbitals_down")):
                factor, added = change[k, :, 0, d].T, change[k, :, 1, d].T
                changed = params[name][d] * (1 + factor) + added
                product *= np.linalg.det(changed[:, np.flatnonzero(block)])
            total += product
        jastrow = module.bind(variables).jastrow(x[k]) + factors[k]
        expected.append(total * np.exp(jastrow))
    log = np.asarray(jax.jit(module.apply)(variables, x))
    assert module.is_real
    assert set(np.round(log.imag / np.pi, 14)) == {0.0, 1.0}
    assert np.allclose(np.exp(log), expected, rtol=1e-10)


MOMENTUM_CASES = [
    (Lattice("tv", "3x4", 3), (0, 2), True, {}),
    (Lattice("tv", "3x4", 3, boundary=("apbc", 0.3)), (1, 3), False, {"backflow": "both"}),
    (
        Lattice("hubbard", "2x3", (2, 2), boundary=("apbc", "pbc")),
        (1, 1),
        False,
        {"param_dtype": complex},
    ),
    (Lattice("tv", "3x3", 2, geometry="honeycomb"), (1, 2), False, {"backflow": "additive"}),
    (Lattice("tv", "4x3", 2, boundary=("apbc", "pbc")), (3, 0), True, {}),
]


@pytest.mark.parametrize(("model", "momentum", "is_real", "options"), MOMENTUM_CASES, ids=str)
@pytest.mark.slow
def test_one_determinant_of_plane_waves_has_exact_momentum(model, momentum, is_real, options):
    """Whatever the parameters: every translation multiplies it by a phase, found with explicit parities."""
    orbitals = free_orbitals(model, momentum, real=False if "param_dtype" in options else None)
    assert orbitals[0].is_real == is_real
    module = EquivariantBackflow(model.size, orbitals, features=3, depth=1, **options)
    symmetry = elements(space_group(model, "C1").sector(momentum))
    plan = projection_plan(symmetry, orbitals, model.size, model.periodic)
    assert plan.weights.shape == (1, 1, 1)
    assert np.allclose(plan.weights, 1.0, rtol=1e-13)
    x = all_configurations(model.n_sites, model.particles)
    psi = np.exp(np.asarray(jax.jit(module.apply)(with_random_parameters(module, x), x)))
    projected = explicit_projection(x, psi, symmetry, model.n_sites)
    assert np.abs(psi - projected).max() < 1e-12 * np.abs(psi).max()
    assert np.linalg.matrix_rank(np.stack([psi.real, psi.imag])) == (1 if is_real else 2)


# ---- with NetKet -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_free_fermions_are_an_eigenstate():
    """A projected state in NetKet's FullSumState, on the matrix of the Hamiltonian."""
    model = Lattice("tv", "3x4", 3, boundary=("pbc", "apbc"))
    module = EquivariantBackflow(
        model.size,
        free_orbitals(model, (0, 2)),
        backflow="none",
        distances=HashableArray(model.distance_shells),
    )
    projected = ProjectedBackflow(module, elements(space_group(model, "C1").sector((0, 2))))
    hilbert = nk.hilbert.SpinOrbitalFermions(12, n_fermions=3)
    no_correlations = jax.tree.map(np.zeros_like, with_random_parameters(projected, hilbert.all_states()))
    psi = np.asarray(nk.vqs.FullSumState(hilbert, projected, variables=no_correlations).to_array())
    states, ours = hilbert.all_states().astype(int), lattice_configurations(model)
    order = {row.tobytes(): i for i, row in enumerate(states)}
    vector = psi[[order[row.astype(int).tobytes()] for row in ours]]
    applied = lattice_to_sparse(model) @ vector
    energy = np.vdot(vector, applied).real
    assert np.linalg.norm(applied - energy * vector) < 1e-12
    assert np.linalg.norm(vector) == pytest.approx(1.0)
    levels = np.linalg.eigvalsh(model.hopping)
    assert np.min(np.abs([levels[list(c)].sum() - energy for c in combinations(range(12), 3)])) < 1e-12


# ---- orbitals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        Lattice("tv", "3x2", 3, boundary=("apbc", 0.1)),
        Lattice("hubbard", "3x3", (2, 1), t_prime=0.2),
        Lattice("tv", "2x3", 3, geometry="honeycomb"),
        Lattice("tv", "6x1", 2),
    ],
    ids=str,
)
def test_free_orbitals_are_the_lowest_of_their_momentum(model):
    """Every momentum, against all Slater determinants of eigenvectors that translations do not mix."""
    group = space_group(model, "C1")
    levels: dict = {}
    for momentum in group.momenta():
        orbitals = free_orbitals(model, momentum, real=False)
        energy = 0.0
        for o in orbitals:
            waves = np.asarray(o.envelope)[0] * np.asarray(o.amplitudes)[0][:, np.asarray(o.places)]
            moved = waves @ model.hopping.T
            energies = np.sum(waves.conj() * moved, axis=1) / np.sum(np.abs(waves) ** 2, axis=1)
            assert np.allclose(moved, energies[:, None] * waves, atol=1e-10)
            energy += energies.sum().real
        levels[momentum] = energy
        plan = projection_plan(elements(group.sector(momentum)), orbitals, model.size, model.periodic)
        assert np.allclose(plan.weights, 1.0)
    eigenvalues = np.linalg.eigvalsh(model.hopping)
    assert min(levels.values()) == pytest.approx(sum(eigenvalues[:n].sum() for n in model.particles))
    chosen = free_orbitals(model, real=False)
    assert sum(o.n_particles for o in chosen) == model.n_particles


def test_fillings_in_the_order_of_their_energies():
    model = Lattice("hubbard", "3x2", (2, 1), t_prime=0.3)
    turns = [(m1 / 3, m2 / 2) for m1 in range(3) for m2 in range(2)]
    energy = [
        np.real(np.exp(2j * np.pi * (model.cells / model.size) @ (3 * a, 2 * b)) @ model.hopping[0])
        for a, b in turns
    ]
    momenta = [(m1, m2) for m1 in range(3) for m2 in range(2)]
    expected = sorted(
        energy[a] + energy[b] + energy[c]
        for a, b in combinations(range(6), 2)
        for c in range(6)
        if np.all((np.array(momenta[a]) + momenta[b] + momenta[c] - (1, 1)) % (3, 2) == 0)
    )
    up, down = free_orbitals(model, (1, 1), n_determinants=len(expected), real=False)
    found = []
    for d in range(len(expected)):
        waves = np.concatenate([np.asarray(up.envelope)[d], np.asarray(down.envelope)[d]])
        found.append(np.real(np.sum(waves.conj() * (waves @ model.hopping.T))) / 6)
    assert np.allclose(found, expected, atol=1e-9)
    with pytest.raises(
        InputError, match=f"{len(expected) + 1} determinants: there are {len(expected)} fillings"
    ):
        free_orbitals(model, (1, 1), n_determinants=len(expected) + 1)


def test_bad_arguments_say_what_is_wrong():
    model = Lattice("tv", "4x4", 5)
    with pytest.raises(InputError, match="unit cell 3x1 does not divide the 4x4"):
        free_orbitals(model, cell=(3, 1))
    with pytest.raises(InputError, match="pairs k, -k: the orbitals must be complex"):
        free_orbitals(model, (1, 0), real=True)
    with pytest.raises(InputError, match="open boundary"):
        free_orbitals(Lattice("tv", "4x4", 5, boundary="open"), n_determinants=2)
    with pytest.raises(ValueError, match="N <= n_sites"):
        given_orbitals(np.ones((5, 4)))
    (real,) = free_orbitals(model, (0, 0))
    with pytest.raises(ValueError, match="amplitudes must have shape"):
        LatticeOrbitals(real.envelope, HashableArray(np.ones((1, 1, 1))), real.places, True)
    complex_ = free_orbitals(model, (0, 0), real=False)
    for orbitals, options, message in [
        ((real,), {"backflow": "some"}, "backflow must be one of"),
        ((real,), {"param_dtype": complex}, "real=False"),
        ((real,), {"depth": 0}, "at least 1"),
        ((real, real, real), {}, "one or two spins"),
        ((real, given_orbitals(np.eye(2, 8))), {}, "do not fit a lattice of 16 cells"),
        ((real, given_orbitals(np.ones((2, 1, 16)))), {}, "as many determinants"),
    ]:
        with pytest.raises(ValueError, match=message):
            EquivariantBackflow(model.size, orbitals, **options)
    assert not EquivariantBackflow(model.size, complex_).is_real


def test_batches_and_empty_spins():
    """Any leading dimensions; no particle of one spin; single precision stays single."""
    model = Lattice("hubbard", "3x2", (2, 0))
    module = EquivariantBackflow(
        model.size, free_orbitals(model, (0, 0), real=False), features=2, depth=1, param_dtype=jnp.float32
    )
    x = all_configurations(6, (2, 0))
    variables = with_random_parameters(module, x)
    apply = jax.jit(module.apply)
    log = apply(variables, x)
    assert log.dtype == jnp.complex64
    # Amplitudes and not their logarithms: of those that vanish by symmetry nothing but rounding is left.
    batched = apply(variables, x.reshape(3, 5, 12))
    assert np.allclose(np.exp(batched), np.exp(log.reshape(3, 5)), atol=1e-5)
    assert apply(variables, x[3]).shape == ()
