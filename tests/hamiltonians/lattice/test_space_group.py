"""Space groups of clusters: irreps, projectors, named sectors, and what a boundary breaks."""

import re

import numpy as np
import pytest

from hamiltonians import (
    InputError,
    Lattice,
    all_sectors,
    lattice_configurations,
    lattice_to_sparse,
    move_configurations,
    space_group,
)
from hamiltonians.lattice.cluster import GEOMETRIES
from hamiltonians.lattice.point_group import point_group_irreps, point_group_name, point_operations

MODELS = {
    "square": Lattice("tv", "3x3", 4, V=0.7, t_prime=0.2),
    "square apbc": Lattice("tv", "3x3", 3, V=0.7, boundary="apbc"),
    "square open": Lattice("tv", "3x3", 3, V=0.7, boundary="open"),
    "rectangle, twist": Lattice("tv", "4x2", 3, V=0.7, boundary=(0.2, "pbc")),
    "triangular": Lattice("tv", "3x3", 3, V=0.7, geometry="triangular"),
    "triangular, C3v flux": Lattice("tv", "3x3", 2, V=0.7, geometry="triangular", boundary=(1 / 3, 2 / 3)),
    "honeycomb": Lattice("tv", "2x2", 3, V=0.7, geometry="honeycomb"),
    "honeycomb cylinder": Lattice("tv", "2x2", 3, V=0.7, geometry="honeycomb", boundary=("pbc", "open")),
    "hubbard": Lattice("hubbard", "2x2", "2,2", U=3.0, V=0.4),
    "hubbard, twist": Lattice("hubbard", "3x1", "2,1", U=3.0, boundary=(0.3, "open")),
}


def _unitary(model, configurations, permutation, phases, spin_flip=False):
    """U_g as a matrix, from `move_configurations`."""
    position = {tuple(state): index for index, state in enumerate(configurations.tolist())}
    moved, factors = move_configurations(configurations, permutation, phases, spin_flip)
    matrix = np.zeros((len(configurations),) * 2, dtype=complex)
    matrix[[position[tuple(state)] for state in moved.tolist()], np.arange(len(configurations))] = factors
    return matrix


def _projector(model, configurations, sector):
    return sum(
        weight * _unitary(model, configurations, permutation, phases, flip)
        for weight, permutation, phases, flip in zip(
            sector.weights, sector.permutations, sector.phases, sector.spin_flips, strict=True
        )
    )


# ---- point groups ----------------------------------------------------------------------------------


def _subgroups():
    for geometry in ("square", "triangular", "honeycomb"):
        whole = point_operations(GEOMETRIES[geometry])
        order = len(whole) // 2
        for n in (n for n in range(1, order + 1) if order % n == 0):
            rotations = [g for g in whole if not g.is_mirror and g.angle * n % 360 == 0]
            yield geometry, rotations
            for first in [g for g in whole if g.is_mirror][:2]:
                mirrors = [g for g in whole if g.is_mirror and (g.angle - first.angle) * n % 180 == 0]
                yield geometry, rotations + mirrors


@pytest.mark.parametrize(("geometry", "operations"), list(_subgroups()))
def test_irreps_are_orthogonal_representations(geometry, operations):
    reference = min((g.angle for g in operations if g.is_mirror), default=0)
    irreps = point_group_irreps(operations, reference)
    characters = np.array([irrep.characters for irrep in irreps])
    order = len(operations)
    np.testing.assert_allclose(characters @ characters.conj().T, order * np.eye(len(irreps)), atol=1e-12)
    assert sum(irrep.dimension**2 for irrep in irreps) == order
    assert len({irrep.name for irrep in irreps}) == len(irreps)
    index = {g.matrix: i for i, g in enumerate(operations)}
    for i, g in enumerate(operations):
        for j, h in enumerate(operations):
            product = np.array(g.matrix) @ np.array(h.matrix)
            k = index[tuple(map(tuple, product.tolist()))]
            for irrep in irreps:
                np.testing.assert_allclose(
                    irrep.matrices[i] @ irrep.matrices[j], irrep.matrices[k], atol=1e-12
                )


def test_names_follow_the_tables():
    operations = point_operations(GEOMETRIES["square"])
    assert point_group_name(operations) == "C4v"
    irreps = {irrep.name: irrep for irrep in point_group_irreps(operations)}
    assert list(irreps) == ["A1", "A2", "B1", "B2", "E"]
    for operation, b1, b2, e in zip(
        operations, *(irreps[name].characters for name in ("B1", "B2", "E")), strict=True
    ):
        if operation.is_mirror:
            on_axis = operation.angle in (0, 90)
            assert (b1, b2, e) == (1 if on_axis else -1, -1 if on_axis else 1, 0)
        else:
            assert (b1, e) == {0: (1, 2), 90: (-1, 0), 180: (1, -2), 270: (-1, 0)}[operation.angle]
    names = [irrep.name for irrep in point_group_irreps(point_operations(GEOMETRIES["triangular"]))]
    assert names == ["A1", "A2", "B1", "B2", "E1", "E2"]
    rotations = [g for g in operations if not g.is_mirror]
    assert [irrep.name for irrep in point_group_irreps(rotations)] == ["A", "B", "1E", "2E"]


def test_rows_of_e_are_x_and_y():
    operations = point_operations(GEOMETRIES["square"])
    matrices = point_group_irreps(operations)[-1].matrices
    for operation, matrix in zip(operations, matrices, strict=True):
        np.testing.assert_allclose(matrix, operation.matrix, atol=1e-14)


# ---- the group of a cluster ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "options", "name"),
    [
        ("4x4", {}, "C4v"),
        ("5x5", {"boundary": "apbc"}, "C4v"),
        ("4x4", {"boundary": "open"}, "C4v"),
        ("4x6", {}, "C2v"),
        ("4x4", {"boundary": "pbc,apbc"}, "C2v"),
        ("4x4", {"boundary": "pbc,open"}, "C2v"),
        ("4x4", {"boundary": (0.1, "pbc")}, "Cs"),
        ("4x4", {"boundary": 0.1}, "Cs"),
        ("4x4", {"boundary": (0.1, 0.2)}, "C1"),
        ("6x6", {"geometry": "triangular"}, "C6v"),
        ("3x3", {"geometry": "honeycomb"}, "C6v"),
        ("4x4", {"geometry": "triangular", "boundary": "apbc"}, "C2v"),
        ("4x4", {"geometry": "triangular", "boundary": "open"}, "C2v"),
        ("3x6", {"geometry": "triangular"}, "C2v"),
        ("3x4", {"geometry": "honeycomb", "boundary": "open"}, "C2"),
        ("3x3", {"geometry": "triangular", "boundary": (1 / 3, 2 / 3)}, "C3v"),
    ],
)
def test_point_group_of_a_cluster(size, options, name):
    model = Lattice("tv", size, 3, t_prime=0.3, **options)
    group = space_group(model)
    assert group.name == name
    # One-particle statement of [U_g, H] = 0.
    for permutation, phases in zip(group.permutations, group.phases, strict=True):
        moved = np.zeros_like(model.hopping)
        moved[np.ix_(permutation, permutation)] = model.hopping * np.outer(phases, phases.conj())
        np.testing.assert_allclose(moved, model.hopping, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_elements_commute_with_the_hamiltonian(name):
    model = MODELS[name]
    group = space_group(model)
    hamiltonian = lattice_to_sparse(model).toarray()
    configurations = lattice_configurations(model)
    rng = np.random.default_rng(7)
    chosen = rng.choice(len(group.permutations), size=min(12, len(group.permutations)), replace=False)
    unitaries = [_unitary(model, configurations, group.permutations[g], group.phases[g]) for g in chosen]
    for unitary in unitaries:
        np.testing.assert_allclose(unitary @ hamiltonian, hamiltonian @ unitary, atol=1e-12)
        np.testing.assert_allclose(unitary @ unitary.conj().T, np.eye(len(hamiltonian)), atol=1e-12)
    # Applied in turn they are the product, phases and parities included.
    first, second = chosen[0], chosen[-1]
    permutation = group.permutations[first][group.permutations[second]]
    phases = group.phases[second] * group.phases[first][group.permutations[second]]
    product = _unitary(model, configurations, permutation, phases)
    np.testing.assert_allclose(unitaries[0] @ unitaries[-1], product, atol=1e-12)


def test_a_turn_around_the_lattice_is_the_twist():
    model = Lattice("tv", "4x2", 3, boundary=(0.2, "pbc"))
    group = space_group(model)
    # The first elements are the translations without a point operation.
    step = group.translations.tolist().index([1, 0])
    configurations = lattice_configurations(model)
    unitary = _unitary(model, configurations, group.permutations[step], group.phases[step])
    around = np.exp(-2j * np.pi * 0.2 * 3) * np.eye(len(configurations))
    np.testing.assert_allclose(np.linalg.matrix_power(unitary, 4), around, atol=1e-12)


# ---- momenta ---------------------------------------------------------------------------------------


def test_momenta_stars_and_little_groups():
    group = space_group(Lattice("tv", "6x6", 5))
    assert len(group.momenta()) == 36
    little = {m: group.little_group_name(m) for m in group.momenta(inequivalent=True)}
    assert little == {
        (0, 0): "C4v", (1, 0): "Cs", (1, 1): "Cs", (2, 0): "Cs", (2, 1): "C1", (2, 2): "Cs",
        (3, 0): "C2v", (3, 1): "Cs", (3, 2): "Cs", (3, 3): "C4v",
    }  # fmt: skip
    assert group.star((0, 3)) == ((3, 0), (0, 3))
    assert len(group.star((2, 1))) == 8
    assert group.wave_vector((3, -1)) == pytest.approx((np.pi, -np.pi / 3))
    hexagonal = space_group(Lattice("tv", "6x6", 5, geometry="triangular"))
    corners = [m for m in hexagonal.momenta(inequivalent=True) if hexagonal.little_group_name(m) == "C3v"]
    assert len(corners) == 1
    assert np.linalg.norm(hexagonal.wave_vector(corners[0])) == pytest.approx(4 * np.pi / 3)
    assert len(hexagonal.star(corners[0])) == 2
    assert hexagonal.little_group_name((3, 0)) == "C2v"


@pytest.mark.parametrize("boundary", ["pbc", "apbc", (0.2, 0.45)])
def test_momentum_is_the_sum_of_plane_waves(boundary):
    """T psi = e^{-ik tau} psi of a filled set of plane waves, k the sum of theirs."""
    model = Lattice("tv", "4x3", 3, boundary=boundary)
    group = space_group(model)
    filled = np.array([[0, 0], [1, 0], [2, 1]])
    turns = (filled + np.array(model.flux)) / np.array(model.size)
    waves = np.exp(2j * np.pi * model.cells @ turns.T)
    sector = group.sector(filled.sum(axis=0))
    for permutation, phases, character in zip(
        sector.permutations, sector.phases, sector.characters, strict=True
    ):
        moved = np.zeros_like(waves)
        moved[permutation] = phases[:, None] * waves
        occupied = np.linalg.pinv(waves) @ moved
        assert np.linalg.det(occupied) == pytest.approx(character, abs=1e-10)


@pytest.mark.parametrize(("size", "shells", "irrep"), [("4x4", 1, "B2"), ("6x6", 2, "B1")])
def test_closed_shells(size, shells, irrep):
    """The filled shells of 4x4 with 5 and of 6x6 with 13 particles are B2 and B1 at Gamma, not A1."""
    model = Lattice("tv", size, {1: 5, 2: 13}[shells])
    energies, orbitals = np.linalg.eigh(model.hopping)
    filled = orbitals[:, : model.n_particles]
    assert energies[model.n_particles] - energies[model.n_particles - 1] > 0.5
    sector = space_group(model).sector((0, 0), irrep)
    for permutation, character in zip(sector.permutations, sector.characters, strict=True):
        moved = np.zeros_like(filled)
        moved[permutation] = filled
        assert np.linalg.det(filled.T @ moved) == pytest.approx(character, abs=1e-9)


# ---- sectors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_projectors(name):
    """Hermitian, idempotent, commuting with H, of the rank that is said, and together complete."""
    model = MODELS[name]
    configurations = lattice_configurations(model)
    hamiltonian = lattice_to_sparse(model).toarray()
    spin_flip = model.is_spinful and len(set(model.particles)) == 1
    group = space_group(model)
    total = 0
    for sector in all_sectors(model, spin_flip=spin_flip):
        projector = _projector(model, configurations, sector)
        np.testing.assert_allclose(projector @ projector, projector, atol=1e-11)
        np.testing.assert_allclose(projector, projector.conj().T, atol=1e-11)
        np.testing.assert_allclose(projector @ hamiltonian, hamiltonian @ projector, atol=1e-11)
        assert np.trace(projector).real == pytest.approx(sector.dimension * sector.n_states, abs=1e-9)
        total += sector.degeneracy * sector.n_states
        if sector.dimension > 1:
            rows = [
                group.sector(sector.momentum, sector.irrep, row=row, spin_flip=sector.spin_flip)
                for row in range(sector.dimension)
            ]
            parts = [_projector(model, configurations, row) for row in rows]
            np.testing.assert_allclose(sum(parts), projector, atol=1e-11)
            for part in parts:
                np.testing.assert_allclose(part @ part, part, atol=1e-11)
                assert np.trace(part).real == pytest.approx(sector.n_states, abs=1e-9)
    assert total == model.n_configurations


def test_sectors_fill_large_spaces():
    model = Lattice("tv", "6x6", 13)
    sectors = all_sectors(model)
    assert sum(s.degeneracy * s.n_states for s in sectors) == model.n_configurations == 2310789600
    assert {s.irrep for s in sectors if s.momentum == (0, 0)} == {"A1", "A2", "B1", "B2", "E"}
    momenta = all_sectors(model, irreps=False)
    assert sum(len(s.star) * s.n_states for s in momenta) == model.n_configurations
    spinful = Lattice("hubbard", "4x4", "8,8", U=4)
    resolved = all_sectors(spinful, spin_flip=True)
    assert sum(s.degeneracy * s.n_states for s in resolved) == spinful.n_configurations == 165636900


def test_more_than_63_sites():
    model = Lattice("hubbard", "10x10", "41,41", U=8.0, boundary="apbc")
    group = space_group(model)
    assert group.permutations.shape == (800, 100)
    sector = group.sector((3, 1), spin_flip="even")
    assert sector.degeneracy == 8
    assert sector.n_states == pytest.approx(model.n_configurations / 200, rel=1e-3)
    occupations = np.random.default_rng(1).permuted(np.arange(200)[None] % 2, axis=1)
    moved, factor = move_configurations(occupations, sector.permutations[7], sector.phases[7])
    assert moved.sum() == 100
    assert abs(factor[0]) == 1


def test_spin_flip_tells_singlets_from_triplets():
    """Even: S = 0 and 2, odd: S = 1; counted by the configurations of every S_z."""
    model = Lattice("hubbard", "3x1", "2,2")
    counts = [Lattice("hubbard", "3x1", particles).n_configurations for particles in ("2,2", "3,1")]
    singlets, triplets = counts[0] - counts[1], counts[1]
    by_parity = {1: 0, -1: 0}
    for sector in all_sectors(model, spin_flip=True):
        by_parity[sector.spin_flip] += sector.degeneracy * sector.n_states
    assert by_parity == {1: singlets, -1: triplets}
    # One doubly occupied site is a singlet.
    pair = Lattice("hubbard", "1x1", "1,1")
    assert space_group(pair).sector(spin_flip="even").n_states == 1
    assert space_group(pair).sector(spin_flip="odd").n_states == 0


def test_labels():
    group = space_group(Lattice("hubbard", "4x4", "5,5"))
    sector = group.sector("2,0", "b2", spin_flip="odd")
    assert (sector.momentum, sector.irrep, sector.little_group) == ((2, 0), "B2", "C2v")
    assert sector.label == "(2,0) B2 odd spin"
    assert sector.is_real
    assert group.sector((-1, 0)).momentum == (3, 0)
    assert group.sector((0, 0), "E", row=1).label == "(0,0) E row 1"


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({}, {"momentum": (4, 0)}, "momentum (4,0) is not on the lattice: give mx = 0 to 3"),
        ({}, {"momentum": (0.5, 0)}, "give two whole numbers in units of 2 pi / L, such as 1,0"),
        ({}, {"momentum": "gamma"}, "give two whole numbers"),
        ({"boundary": "apbc"}, {"momentum": (0.5, 0)}, "(the shift by a twist is understood)"),
        ({"boundary": "pbc,open"}, {"momentum": (1, 1)}, "give my = 0, the direction is open"),
        ({}, {"irrep": "E1"}, "the little group C4v of momentum (0,0) has A1, A2, B1, B2, E"),
        ({}, {"momentum": (1, 0), "irrep": "A1"}, "the little group Cs of momentum (1,0) has A', A''"),
        ({"size": "4x6"}, {"irrep": "E"}, "A1, A2, B1, B2 (no rotation by 90 deg: the cluster is 4x6)"),
        (
            {"boundary": (0.1, "pbc")},
            {"irrep": "B1"},
            "has A', A'' (no rotation by 90 deg: the boundaries differ, twist 0.1 and pbc)",
        ),
        ({"boundary": 0.1}, {"irrep": "B1"}, "the boundary is twist 0.1"),
        ({}, {"irrep": "B1", "row": 1}, "row 1 of B1: give 0 to 0"),
        ({}, {"spin_flip": "even"}, "spin flip of a spinless model"),
        ({"kind": "hubbard", "particles": "3,2"}, {"spin_flip": 1}, "as many up as down, not 3+2"),
        ({"kind": "hubbard", "particles": "2,2"}, {"spin_flip": 2}, "give even (singlets) or odd (triplets)"),
    ],
)
def test_bad_sectors(options, arguments, message):
    group = space_group(Lattice(**{"kind": "tv", "size": "4x4", "particles": 5, **options}))
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        group.sector(**arguments)
    assert "\n" not in str(raised.value)


def test_subgroups_and_broken_groups():
    model = Lattice("tv", "4x4", 5)
    for name in ("C4v", "C4", "C2v", "C2", "Cs", "C1"):
        assert space_group(model, name).name == name
    with pytest.raises(InputError, match=r"point group C4v is broken: this cluster has C2v, .*4x6"):
        space_group(Lattice("tv", "4x6", 5), "C4v")
    with pytest.raises(
        InputError, match=r"C2v is broken: this cluster has Cs, .*4x6 and .*twist 0.2 and pbc"
    ):
        space_group(Lattice("tv", "4x6", 5, boundary=(0.2, "pbc")), "C2v")
    with pytest.raises(InputError, match="open triangular cluster"):
        space_group(Lattice("tv", "3x3", 3, geometry="triangular", boundary="open"), "C6v")
    with pytest.raises(InputError, match="give one of C4v, C4, C2v, C2, Cs, C1"):
        space_group(model, "C6v")
