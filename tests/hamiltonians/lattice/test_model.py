"""Lattice models: one operator by several routes, free dispersions, symmetries of the couplings, input."""

import json
from math import comb

import numpy as np
import pytest

from hamiltonians import (
    InputError,
    Lattice,
    lattice_configurations,
    lattice_to_fermion_operator,
    lattice_to_sparse,
)

MODELS = {
    "chain": Lattice("tv", "4x1", 2, V=0.7),
    "square pbc": Lattice("tv", "3x3", 4, V=1.3),
    "square apbc": Lattice("tv", "2x3", 3, V=1.3, t_prime=-0.4, boundary=("pbc", "apbc")),
    "square open": Lattice("tv", "3x2", 2, t=0.8, V=0.5, boundary="open"),
    "square twist": Lattice("tv", "3x2", 3, V=2.0, t_prime=0.3, boundary=(0.2, -0.35)),
    "triangular cylinder": Lattice("tv", "3x2", 3, V=0.9, geometry="triangular", boundary=("apbc", "open")),
    "honeycomb": Lattice("tv", "2x2", 3, V=1.1, t_prime=0.2, geometry="honeycomb"),
    "hubbard": Lattice("hubbard", "2x2", "2,1", U=4.0),
    "hubbard twist": Lattice("hubbard", "3x1", "2,2", U=3.0, boundary=(0.15, "open")),
    "hubbard extended, apbc": Lattice(
        "hubbard", "2x2", "1,3", U=2.0, V=-0.3, t_prime=0.1, boundary=("apbc", "open")
    ),
    "hubbard triangular": Lattice("hubbard", "2x2", 4, U=8.0, geometry="triangular", boundary=("open", 0.3)),
}


@pytest.fixture(params=MODELS, scope="module")
def model(request):
    return MODELS[request.param]


def _interleaving_sign(model, configuration):
    """Parity of sorting creation operators, all up before all down, by site and then spin."""
    modes = [2 * (m % model.n_sites) + m // model.n_sites for m in np.flatnonzero(configuration)]
    return (-1) ** sum(a > b for i, a in enumerate(modes) for b in modes[i + 1 :])


def test_openfermion_agrees_with_the_sparse_matrix(model):
    from openfermion import get_sparse_operator

    full = get_sparse_operator(lattice_to_fermion_operator(model), n_qubits=model.n_modes).tocsr()
    configurations = lattice_configurations(model)
    if model.is_spinful:
        up, down = configurations[:, : model.n_sites], configurations[:, model.n_sites :]
        modes = np.stack([up, down], axis=2).reshape(len(configurations), -1)
        signs = np.array([_interleaving_sign(model, configuration) for configuration in configurations])
    else:
        modes, signs = configurations, np.ones(len(configurations))
    # OpenFermion's mode 0 is the most significant bit.
    index = modes.astype(np.int64) @ (1 << np.arange(model.n_modes)[::-1])
    expected = full[index][:, index].toarray() * np.outer(signs, signs)
    np.testing.assert_allclose(lattice_to_sparse(model).toarray(), expected, atol=1e-12)


def test_hubbard_dimer():
    """Two sites at half filling: U/2 - sqrt(U^2/4 + 4 t^2), with 2 t where the ring closes on itself."""
    U = 3.0
    for boundary, t in (("open", 1.0), ("pbc", 2.0)):
        matrix = lattice_to_sparse(Lattice("hubbard", "2x1", 2, U=U, boundary=(boundary, "open")))
        energy = np.linalg.eigvalsh(matrix.toarray())[0]
        assert energy == pytest.approx(U / 2 - np.sqrt(U**2 / 4 + 4 * t**2), abs=1e-12)


@pytest.mark.parametrize("boundary", [("pbc", "pbc"), ("apbc", "pbc"), (0.17, "apbc"), (-0.3, 0.21)])
@pytest.mark.parametrize("geometry", ["square", "triangular", "honeycomb"])
def test_free_dispersions(geometry, boundary):
    """Plane waves of k = 2 pi (m + twist) / L."""
    model = Lattice("tv", "4x3", 1, t_prime=0.3, geometry=geometry, boundary=boundary)
    k1, k2 = np.meshgrid(
        *(2 * np.pi * (np.arange(L) + f) / L for L, f in zip((4, 3), model.flux, strict=True))
    )
    if geometry == "square":
        energies = -2 * (np.cos(k1) + np.cos(k2)) - 0.6 * (np.cos(k1 + k2) + np.cos(k1 - k2))
    elif geometry == "triangular":
        energies = -2 * (np.cos(k1) + np.cos(k2) + np.cos(k1 - k2))
        energies -= 0.6 * (np.cos(k1 + k2) + np.cos(2 * k1 - k2) + np.cos(k1 - 2 * k2))
    else:
        structure = np.abs(1 + np.exp(1j * k1) + np.exp(1j * k2))
        shift = -0.6 * (np.cos(k1) + np.cos(k2) + np.cos(k1 - k2))
        energies = np.stack([shift + structure, shift - structure])
    np.testing.assert_allclose(np.linalg.eigvalsh(model.hopping), np.sort(energies.ravel()), atol=1e-12)


@pytest.mark.parametrize(("geometry", "neighbours"), [("square", 4), ("triangular", 6), ("honeycomb", 3)])
def test_bonds_join_neighbours(geometry, neighbours):
    model = Lattice("tv", "5x4", 1, geometry=geometry)
    bonds = model.bonds
    cells = np.array(model.size) * np.array(model.lattice.vectors).T
    lengths = np.linalg.norm(
        model.positions[bonds.sites[:, 1]] + bonds.windings @ cells.T - model.positions[bonds.sites[:, 0]],
        axis=1,
    )
    np.testing.assert_allclose(lengths[bonds.shells == 1], 1.0, atol=1e-12)
    np.testing.assert_allclose(
        lengths[bonds.shells == 2], np.sqrt(2 if geometry == "square" else 3), atol=1e-12
    )
    assert (np.bincount(bonds.sites[bonds.shells == 1].ravel()) == neighbours).all()
    assert np.array_equal(model.graph_distances == 1, model.hopping != 0)
    assert np.array_equal(model.distance_shells == 1, model.hopping != 0)
    assert np.array_equal(model.distance_shells == 0, np.eye(model.n_sites, dtype=bool))


def test_distance_shells():
    """Lengths of the nearest image; an open direction has none."""
    shells = Lattice("tv", "6x6", 1).distance_shells[0].reshape(6, 6)
    assert (shells[1, 0], shells[1, 1], shells[2, 0], shells[5, 0], shells[3, 3]) == (1, 2, 3, 1, 9)
    assert np.array_equal(shells, shells.T)
    ends = Lattice("tv", "6x2", 1, boundary="open,pbc").distance_shells[0].reshape(6, 2)
    assert (ends[1, 0], ends[0, 1], ends[5, 0], ends[5, 1]) == (1, 1, 9, 10)


def test_short_periods_have_two_bonds():
    model = Lattice("tv", "2x3", 2, V=0.5)
    assert model.hopping[0, 3] == -2.0
    assert model.repulsion[0, 3] == 1.0
    assert Lattice("tv", "2x3", 2, V=0.5, boundary=("apbc", "pbc")).hopping[0, 3] == 0.0


def test_a_full_twist_is_none():
    assert Lattice("tv", "3x3", 2, boundary=(1.0, -2)) == Lattice("tv", "3x3", 2)
    assert Lattice("tv", "3x3", 2, boundary=(0.5, -0.5)) == Lattice("tv", "3x3", 2, boundary="apbc")
    spectra = []
    for twist in (0.3, 1.3, -0.3, 0.30001):
        model = Lattice("tv", "3x2", 2, V=1.0, boundary=(twist, "pbc"))
        spectra.append(np.linalg.eigvalsh(lattice_to_sparse(model).toarray()))
    np.testing.assert_allclose(spectra[1], spectra[0], atol=1e-12)
    np.testing.assert_allclose(spectra[2], spectra[0], atol=1e-12)
    assert np.abs(spectra[3] - spectra[0]).max() > 1e-6


@pytest.mark.parametrize(
    ("size", "geometry", "boundary", "bonds", "neighbours"),
    [("4x2", "square", ("pbc", "apbc"), 16, 4), ("2x2", "honeycomb", "pbc", 12, 3)],
)
def test_particle_hole_symmetry_of_tv(size, geometry, boundary, bonds, neighbours):
    """Bipartite: E(n_sites - N) = E(N) + V (bonds - z N), level by level."""
    V = 1.7
    spectra = [
        np.linalg.eigvalsh(
            lattice_to_sparse(
                Lattice("tv", size, number, V=V, geometry=geometry, boundary=boundary)
            ).toarray()
        )
        for number in (3, 5)
    ]
    np.testing.assert_allclose(spectra[1], spectra[0] + V * (bonds - neighbours * 3), atol=1e-10)


def test_particle_hole_symmetry_of_hubbard():
    """Bipartite: E(n_sites - N) = E(N) + U (n_sites - N_up - N_down)."""
    spectra = [
        np.linalg.eigvalsh(lattice_to_sparse(Lattice("hubbard", "2x3", p, U=5.0, boundary="open")).toarray())
        for p in ("2,1", "4,5")
    ]
    np.testing.assert_allclose(spectra[1], spectra[0] + 5.0 * (6 - 3), atol=1e-10)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Lattice("hubbard", "4x4", (8, 8), U=4.0), True),
        (Lattice("hubbard", "4x4", (8, 8), U=4.0, boundary="apbc"), True),
        (Lattice("hubbard", "4x4", (5, 5), U=4.0), False),
        (Lattice("hubbard", "4x4", (8, 8), U=-4.0), False),
        (Lattice("hubbard", "4x4", (8, 8), U=4.0, V=1.0), False),
        (Lattice("hubbard", "4x4", (8, 8), U=4.0, t_prime=0.1), False),
        (Lattice("hubbard", "3x4", (6, 6), U=4.0), False),
        (Lattice("hubbard", "3x4", (6, 6), U=4.0, boundary="open"), True),
        (Lattice("hubbard", "2x2", (2, 2), U=4.0, boundary=(0.1, "pbc")), False),
    ],
)
def test_where_lieb_has_singlets(model, expected):
    assert model.must_be_singlet == expected


@pytest.mark.parametrize(
    ("size", "geometry", "is_bipartite"),
    [
        ("4x2", "square", True),
        ("3x3", "square", False),
        ("3x2", "honeycomb", True),
        ("3x3", "triangular", False),
    ],
)
def test_the_sign_of_t_is_gauge_on_bipartite_clusters(size, geometry, is_bipartite):
    spectra = [
        np.linalg.eigvalsh(lattice_to_sparse(Lattice("tv", size, 3, t=t, V=1.0, geometry=geometry)).toarray())
        for t in (1.0, -1.0)
    ]
    assert np.allclose(*spectra, atol=1e-10) == is_bipartite


@pytest.mark.parametrize("particles", [(0, 0), (1, 0), (4, 4)])
def test_empty_and_full_shells(particles):
    model = Lattice("hubbard", "2x2", particles, U=2.0, V=0.5)
    matrix = lattice_to_sparse(model).toarray()
    assert matrix.shape == (model.n_configurations,) * 2
    if particles == (4, 4):
        # Eight bonds (two on each short side), each with 2 x 2 electrons.
        assert matrix[0, 0] == pytest.approx(4 * 2.0 + 8 * 4 * 0.5)
    assert Lattice("tv", "1x1", 1).hopping.shape == (1, 1)


def test_configurations_are_in_order():
    model = Lattice("tv", "3x3", 4)
    configurations = lattice_configurations(model)
    integers = configurations.astype(np.int64) @ (1 << np.arange(9))
    assert len(configurations) == model.n_configurations == 126
    assert (configurations.sum(axis=1) == 4).all()
    assert (np.diff(integers) > 0).all()


def test_more_than_63_sites():
    model = Lattice("hubbard", "9x8", (36, 35), U=4.0, V=0.1, boundary=("pbc", "apbc"))
    assert model.n_sites == 72
    assert model.n_modes == 144
    assert model.n_configurations == comb(72, 36) * comb(72, 35)
    assert np.array_equal(model.hopping, model.hopping.T)
    assert np.abs(model.hopping).sum() == 4 * 72
    staggered = Lattice("tv", "9x8", 36, V=0.1)
    columns = (np.arange(72) // 8 + np.arange(72)) % 2
    energy = 0.5 * columns @ staggered.repulsion @ columns
    # Staggered around nine columns: pairs along one seam only.
    assert energy == pytest.approx(0.1 * 4)
    with pytest.raises(InputError, match="do not fit"):
        lattice_to_sparse(model)


def test_models_survive_json():
    for model in MODELS.values():
        assert Lattice.from_dict(json.loads(json.dumps(model.to_dict()))) == model
        assert hash(Lattice.from_dict(model.to_dict())) == hash(model)


def test_texts_are_accepted():
    model = Lattice("TV", "4X3", "5", boundary="p,antiperiodic")
    assert (model.size, model.particles, model.boundary) == ((4, 3), (5,), ("pbc", "apbc"))
    assert Lattice("hubbard", (4, 2), 5).particles == (3, 2)
    assert str(model) == "t-V 4x3 square, pbc x apbc, N=5"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "ising"}, "give tv or hubbard"),
        ({"geometry": "kagome"}, "give square or triangular or honeycomb"),
        ({"size": "4"}, "give two whole numbers, such as 4x4"),
        ({"size": (0, 4)}, "at least 1"),
        ({"size": "4x2.5"}, "give two whole numbers"),
        ({"particles": 17}, "17 particles on 16 sites: give 0 to 16"),
        ({"particles": -1}, "give 0 to 16"),
        ({"particles": "3,2"}, "give one number"),
        ({"particles": 2.5}, "whole numbers"),
        ({"kind": "hubbard", "particles": "3,20"}, "20 particles of one spin on 16 sites"),
        ({"kind": "hubbard", "particles": (1, 2, 3)}, "give N_up,N_down"),
        ({"boundary": "reflecting"}, "a twist angle in units of 2 pi"),
        ({"boundary": ("pbc",) * 3}, "one for each of the two directions"),
        ({"boundary": float("nan")}, "a twist angle"),
        ({"size": "1x4", "particles": 2, "boundary": "apbc"}, "length 1: give open"),
        ({"U": 1.0}, "spinless fermions never share a site"),
        ({"V": "strong"}, "give a finite number"),
        ({"t": float("inf")}, "give a finite number"),
    ],
)
def test_bad_input(values, message):
    with pytest.raises(InputError, match=message) as raised:
        Lattice(**{"kind": "tv", "size": "4x4", "particles": 5, **values})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "tv", "size": "2x2"}, "without 'particles'"),
        ({"kind": "tv", "size": "2x2", "particles": 2, "bundary": "pbc"}, "unknown key 'bundary'.*boundary"),
    ],
)
def test_bad_dictionaries(values, message):
    with pytest.raises(InputError, match=message):
        Lattice.from_dict(values)


@pytest.mark.parametrize(
    "model",
    [
        Lattice("tv", "3x2", 3, V=1.7, t_prime=0.3),
        Lattice("hubbard", "3x2", (2, 1), U=3.0, V=0.4, boundary=(0.1, "apbc")),
        Lattice("tv", "2x1", 1),
    ],
)
def test_infinite_temperature_energy_is_the_mean_of_the_diagonal(model):
    matrix = lattice_to_sparse(model)
    expected = matrix.diagonal().real.mean()
    assert model.infinite_temperature_energy == pytest.approx(expected, abs=1e-10)
