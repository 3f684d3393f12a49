"""Projection on total spin, and the orbitals of an antiferromagnet."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from netket.utils import HashableArray

from hamiltonians import Lattice, lattice_configurations, space_group
from hamiltonians.lattice.hartree_fock import _density, _energy, mean_field
from nnbf.ansatz import EquivariantBackflow, ProjectedBackflow, SymmetryElements, given_orbitals
from nnbf.ansatz.projection import projection_plan
from nnbf.ansatz.spin_projection import spin_rotations
from nnbf.ansatz.staggered import staggered_orbitals
from nnbf.ansatz.symmetric_fillings import _projected_overlap, independent_in_sector
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz
from nnbf.drivers.options import LatticeOptions
from nnbf.operators.lattice import s_squared_diagonal, spin_exchanges
from nnbf.states.amplitudes import initial_variables


def s_squared_of(psi, configurations, n_sites):
    """(S^2 psi)(n) on all configurations."""
    index = {row.tobytes(): i for i, row in enumerate(configurations)}
    row, images, sign = spin_exchanges(configurations, n_sites)
    value = s_squared_diagonal(configurations, n_sites) * psi
    np.add.at(value, row, sign * psi[[index[image.tobytes()] for image in images]])
    return value


@partial(jax.jit, static_argnums=0)
def amplitudes(model, variables, configurations):
    return jnp.exp(model.apply(variables, configurations))


def psi_of(model, configurations, key=0):
    """psi (n,) on configurations, with random parameters."""
    configurations = jnp.asarray(configurations)
    variables = initial_variables(model, jax.random.key(key), configurations[:1])
    return np.array(amplitudes(model, variables, configurations))


@pytest.mark.parametrize(("particles", "is_real"), [((2, 2), True), ((2, 3), False)])
def test_slater_determinants_split_into_their_total_spins(particles, is_real):
    """Each part is an eigenstate of S^2, and all of them add up to the determinant."""
    rng = np.random.default_rng(sum(particles))
    model = Lattice("hubbard", "5x1", particles, U=1.0, boundary="open")
    rows = [rng.normal(size=(n, 5)) + (0 if is_real else 1j * rng.normal(size=(n, 5))) for n in particles]
    orbitals = tuple(given_orbitals(r) for r in rows)
    configurations = np.asarray(lattice_configurations(model), np.int8)

    def psi(total_spin):
        network = EquivariantBackflow(
            (5, 1), orbitals, "none", periodic=(False, False), total_spin=total_spin, noise=0.0
        )
        return psi_of(network, configurations)

    whole, total = psi(None), 0.0
    least, largest = model.total_spins
    for spin in np.arange(least, largest + 1):
        part = psi(spin)
        part[np.abs(part) < 1e-200] = 0.0
        assert np.linalg.norm(part) > 1e-3 * np.linalg.norm(whole)
        np.testing.assert_allclose(
            s_squared_of(part, configurations, 5), spin * (spin + 1) * part, atol=1e-9 * np.abs(whole).max()
        )
        total = total + part
    np.testing.assert_allclose(total, whole, atol=1e-10 * np.abs(whole).max())


def test_spins_that_particles_do_not_have():
    for spin, particles in ((0.5, (2, 2)), (3, (2, 2)), (0, (3, 1)), (-1, (2, 2)), (2, (4, 3))):
        with pytest.raises(ValueError, match="total spin"):
            spin_rotations(spin, particles, 4)
    with pytest.raises(ValueError, match="two spins"):
        EquivariantBackflow((2, 1), (given_orbitals(np.eye(2)),), total_spin=0)


BIPARTITE = [
    Lattice("hubbard", "4x2", (4, 4), U=4.0),
    Lattice("hubbard", "4x4", (8, 8), U=4.0),
    Lattice("hubbard", "4x4", (8, 8), U=2.0, boundary="apbc"),
    Lattice("hubbard", "6x2", (6, 6), U=6.0, boundary=("apbc", "pbc")),
    Lattice("hubbard", "3x3", (9, 9), U=5.0, geometry="honeycomb"),
    Lattice("hubbard", "4x2", (4, 4), U=4.0, boundary=(0.1, "pbc")),
]


@pytest.mark.parametrize("model", BIPARTITE, ids=str)
def test_staggered_orbitals_are_those_of_hartree_fock(model):
    orbitals = staggered_orbitals(model)
    rows = [o.initial_rows[0] for o in orbitals]
    for r in rows:
        np.testing.assert_allclose(r @ r.conj().T, np.eye(len(r)), atol=1e-12)
    assert all(o.is_real for o in orbitals) == (model.boundary[0] in ("pbc", "apbc"))
    energy = _energy(model, [_density(r) for r in rows])
    assert energy == pytest.approx(mean_field(model).energy, abs=1e-7)


def test_no_staggered_orbitals():
    for model in (
        Lattice("hubbard", "4x4", (7, 7), U=4.0),
        Lattice("hubbard", "4x4", (8, 8), U=-4.0),
        Lattice("hubbard", "3x4", (6, 6), U=4.0),
        Lattice("hubbard", "4x4", (8, 8), U=4.0, t_prime=0.2),
        Lattice("hubbard", "4x4", (8, 8), U=4.0, boundary="open"),
        Lattice("tv", "4x4", 8, V=4.0),
    ):
        assert staggered_orbitals(model) is None


def test_translations_that_keep_the_colours_leave_one_determinant():
    for model, terms in ((BIPARTITE[1], 2), (BIPARTITE[2], 2), (BIPARTITE[4], 1)):
        group = space_group(model)
        ansatz = make_lattice_ansatz(model, group.sector((0, 0), None), LatticeOptions(method="vmc"), "vmc")
        backflow = ansatz.backflow
        plan = projection_plan(ansatz.symmetry, backflow.orbitals, backflow.size, backflow.periodic)
        assert plan.weights.shape == (1, terms, 1)


def test_the_tower_of_an_antiferromagnet():
    """Singlet at Gamma, triplet at M, quintet at Gamma again; other momenta have nothing of it."""
    model = BIPARTITE[1]
    group = space_group(model)
    options = LatticeOptions(method="vmc")

    def spin(momentum, **sector):
        return make_lattice_ansatz(
            model, group.sector(momentum, None, **sector), options, "vmc"
        ).backflow.total_spin

    assert spin((0, 0)) == 0.0
    assert spin((0, 0), spin_flip=1) == 0.0
    assert spin((2, 2)) == 1.0
    assert spin((2, 2), spin_flip=-1) == 1.0
    assert spin((1, 0)) is None
    rows = [o.initial_rows[0] for o in staggered_orbitals(model)]
    for momentum, total_spin, is_there in (
        ((0, 0), 2.0, True),
        ((0, 0), 1.0, False),
        ((2, 2), 0.0, False),
        ((2, 2), 3.0, True),
        ((2, 0), 0.0, False),
    ):
        sector = group.sector(momentum, None)
        symmetry = SymmetryElements.from_arrays(sector.permutations, sector.phases, sector.weights)
        assert bool(independent_in_sector([rows], symmetry, 1, total_spin)) == is_there


def test_overlaps_in_a_sector_are_those_of_the_states():
    """<Phi|P_S P|Phi> from overlaps of orbitals, and from amplitudes on all configurations."""
    model = Lattice("hubbard", "4x2", (4, 4), U=4.0)
    orbitals = staggered_orbitals(model)
    configurations = jnp.asarray(lattice_configurations(model), jnp.int8)
    rows = [o.initial_rows[0] for o in orbitals]
    given = tuple(given_orbitals(r) for r in rows)

    def psi(symmetry, total_spin):
        state = ProjectedBackflow(
            EquivariantBackflow((4, 2), given, "none", total_spin=total_spin, noise=0.0), symmetry
        )
        return psi_of(state, configurations)

    plain = psi(SymmetryElements.identity(8), None)
    for momentum, total_spin in (((2, 1), 1.0), ((0, 0), 2.0)):
        sector = space_group(model).sector(momentum, None)
        symmetry = SymmetryElements.from_arrays(sector.permutations, sector.phases, sector.weights)
        sources = np.argsort(sector.permutations, axis=1)
        moved = [[r[:, s] for r in rows] for s in sources]
        expected = plain.conj() @ psi(symmetry, total_spin)
        found = _projected_overlap(rows, moved, sector.weights, sector.spin_flips, total_spin)
        assert found == pytest.approx(expected, abs=1e-10)
        assert abs(found) > 1e-3


def test_backflow_keeps_momentum_and_charge_backflow_keeps_spin():
    """With F that depends on the charge alone the state stays a singlet; momentum stays with any F."""
    model = Lattice("hubbard", "4x2", (4, 4), U=4.0)
    sector = space_group(model).sector((0, 0), None)
    options = LatticeOptions(method="vmc", features=3, depth=1, noise=0.4)
    ansatz = make_lattice_ansatz(model, sector, options, "vmc")
    configurations = np.asarray(lattice_configurations(model), np.int8)
    variables = initial_variables(ansatz, jax.random.key(1), jnp.asarray(configurations[:1]))
    kernel = variables["params"]["backflow"]["network"]["convolution_0"]["kernel"]
    assert kernel.shape == (18, 3)
    # Inputs are (cell, spin): the same weights for both spins see their sum.
    same = kernel.reshape(9, 2, 3)
    same = jnp.broadcast_to(same[:, :1], same.shape).reshape(kernel.shape)
    charge = jax.tree.map(lambda x: x, variables)
    charge["params"]["backflow"]["network"]["convolution_0"]["kernel"] = same
    charge["params"]["backflow"]["jastrow"] = jax.tree.map(
        jnp.zeros_like, variables["params"]["backflow"]["jastrow"]
    )
    contamination = []
    for v in (variables, charge):
        psi = np.array(amplitudes(ansatz, v, jnp.asarray(configurations)))
        psi /= np.linalg.norm(psi)
        contamination.append(float((psi.conj() @ s_squared_of(psi, configurations, 8)).real))
        permutation = np.asarray(sector.permutations)[1]
        blocks = configurations.reshape(-1, 2, 8)
        moved = np.zeros_like(blocks)
        moved[:, :, permutation] = blocks
        sign = np.prod([_parities(blocks[:, s], permutation) for s in (0, 1)], axis=0)
        there = np.asarray(amplitudes(ansatz, v, jnp.asarray(moved.reshape(-1, 16))))
        np.testing.assert_allclose(sign * there / np.linalg.norm(there), psi, atol=1e-12)
    assert abs(contamination[1]) < 1e-12 < 1e-6 < contamination[0]


def _parities(occupations, permutation):
    """Sign of putting moved particles in order, for each configuration."""
    signs = []
    for row in occupations:
        sites = permutation[np.flatnonzero(row)]
        signs.append((-1) ** sum(a > b for i, a in enumerate(sites) for b in sites[i + 1 :]))
    return np.array(signs)


def test_orbitals_at_the_start_with_pairs():
    """A pair channel stands for two orbitals, its real and imaginary parts."""
    up, _ = staggered_orbitals(BIPARTITE[1])
    assert up.n_pairs == 2
    assert up.initial_rows.shape == (1, 8, 16)
    assert isinstance(up.envelope, HashableArray)
