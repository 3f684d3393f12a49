"""Exact diagonalisation by sectors: the union is the whole spectrum; published and tabulated energies."""

import numpy as np
import pytest

from hamiltonians import (
    InputError,
    Lattice,
    all_sectors,
    exact_levels,
    is_affordable,
    lattice_configurations,
    lattice_to_sparse,
    move_configurations,
    space_group,
)

# C4v, C6v with E1 and E2, C3v corners, stars, mixed and twisted boundaries, spin flip.
SMALL = {
    "square": Lattice("tv", "3x3", 4, V=0.7, t_prime=0.2),
    "square apbc": Lattice("tv", "3x3", 4, V=1.4, boundary="apbc"),
    "rectangle": Lattice("tv", "4x2", 3, V=1.4, boundary=("apbc", "pbc")),
    "twist": Lattice("tv", "4x3", 3, V=0.7, boundary=(0.2, "pbc")),
    "triangular": Lattice("tv", "3x3", 3, V=-0.6, geometry="triangular"),
    "triangular, C3v flux": Lattice("tv", "3x3", 4, V=0.7, geometry="triangular", boundary=(1 / 3, 2 / 3)),
    "honeycomb": Lattice("tv", "2x2", 4, V=0.7, t_prime=0.1, geometry="honeycomb"),
    "honeycomb cylinder": Lattice("tv", "2x3", 3, V=0.7, geometry="honeycomb", boundary=("open", 0.3)),
    "hubbard": Lattice("hubbard", "2x2", "2,2", U=3.0, V=0.4, t_prime=0.3),
    "hubbard apbc": Lattice("hubbard", "3x2", "2,2", U=4.0, boundary="apbc"),
    "hubbard open": Lattice("hubbard", "2x2", "2,1", U=4.0, boundary="open"),
    "hubbard full": Lattice("hubbard", "2x2", "4,4", U=4.0),
    "hubbard triangular": Lattice("hubbard", "3x1", "2,2", U=5.0, geometry="triangular"),
}


@pytest.mark.parametrize("name", SMALL)
def test_sectors_make_the_whole_spectrum(name):
    model = SMALL[name]
    whole = np.linalg.eigvalsh(lattice_to_sparse(model).toarray())
    spin_flip = model.is_spinful and len(set(model.particles)) == 1
    for irreps, flip in ((True, False), (False, False), (True, spin_flip)):
        levels = []
        for sector in all_sectors(model, irreps=irreps, spin_flip=flip):
            result = exact_levels(model, sector, k=model.n_configurations)
            assert len(result.energies) == sector.n_states
            levels.append(np.tile(result.energies, sector.degeneracy))
        np.testing.assert_allclose(np.sort(np.concatenate(levels)), whole, atol=1e-10)
    np.testing.assert_allclose(exact_levels(model, k=3).energies, whole[:3], atol=1e-10)


@pytest.mark.parametrize("name", ["square", "twist", "triangular", "honeycomb", "hubbard", "hubbard apbc"])
def test_eigenvectors(name):
    """On all configurations: orthonormal, eigenvectors of H, and of the symmetry that was asked for."""
    model = SMALL[name]
    hamiltonian = lattice_to_sparse(model)
    configurations = lattice_configurations(model)
    position = {tuple(state): index for index, state in enumerate(configurations.tolist())}
    spin_flip = model.is_spinful and len(set(model.particles)) == 1
    for sector in all_sectors(model, spin_flip=spin_flip)[-4:]:
        result = exact_levels(model, sector, k=2)
        for row in range(sector.dimension):
            vectors = result.full_vectors(row)
            residual = hamiltonian @ vectors - vectors * result.energies
            assert np.abs(residual).max() < 1e-10
            overlaps = vectors.conj().T @ vectors
            np.testing.assert_allclose(overlaps, np.eye(vectors.shape[1]), atol=1e-10)
            projected = np.zeros(vectors.shape, dtype=complex)
            weights = sector.dimension / len(sector.phases) * sector.representation[:, row, row].conj()
            for weight, permutation, phases, flip in zip(
                weights, sector.permutations, sector.phases, sector.spin_flips, strict=True
            ):
                moved, factors = move_configurations(configurations, permutation, phases, flip)
                target = [position[tuple(state)] for state in moved.tolist()]
                projected[target] += weight * factors[:, None] * vectors
            np.testing.assert_allclose(projected, vectors, atol=1e-10)


def test_momentum_resolved_energies_of_4x4():
    """t-V, 4x4 PBC, 5 particles, V = 1: tV_4x4_pbc_momentum_resolved_ed.csv."""
    model = Lattice("tv", "4x4", 5, V=1.0)
    expected = {
        (0, 0): -10.240650492312,
        (1, 0): -8.061059964306,
        (1, 1): -6.627895829849,
        (2, 0): -6.627895829849,
        (2, 1): -8.464707382988,
        (2, 2): -6.787371742322,
    }
    found = {s.momentum: exact_levels(model, s).energies[0] for s in all_sectors(model, irreps=False)}
    assert found == pytest.approx(expected, abs=1e-10)
    irreps = {s.irrep: exact_levels(model, s).energies[0] for s in all_sectors(model) if s.momentum == (0, 0)}
    assert min(irreps, key=irreps.get) == "B2"
    assert irreps["B2"] == pytest.approx(expected[0, 0], abs=1e-10)
    assert irreps["A1"] == pytest.approx(-5.6173, abs=1e-4)


@pytest.mark.parametrize(("geometry", "momentum"), [("square", (2, 0)), ("triangular", (2, 0))])
def test_labels_agree_over_the_star(geometry, momentum):
    """X of the square and M of the triangular lattice: one energy for one name, others for others."""
    model = Lattice("tv", "4x4", 3, V=1.0, t_prime=0.37, geometry=geometry)
    group = space_group(model)
    energies = []
    for member in group.star(momentum):
        assert group.little_group_name(member) == "C2v"
        sectors = [group.sector(member, irrep) for irrep in ("A1", "A2", "B1", "B2")]
        energies.append([exact_levels(model, sector).energies[0] for sector in sectors])
    assert len(energies) == (2 if geometry == "square" else 3)
    np.testing.assert_allclose(energies, energies[:1] * len(energies), atol=1e-10)
    assert np.diff(np.sort(energies[0])).min() > 1e-3


def test_near_degenerate_pair_of_4x4():
    """8 particles, V = 4: two charge-ordered states, of Gamma and of M."""
    group = space_group(Lattice("tv", "4x4", 8, V=4.0))
    levels = {m: exact_levels(group.model, group.sector(m, "A1")).energies[0] for m in ((0, 0), (2, 2))}
    assert levels == pytest.approx({(0, 0): -2.54517054, (2, 2): -2.54512386}, abs=1e-8)


@pytest.mark.parametrize(
    ("momentum", "irrep", "energies", "n_states"),
    [
        ((0, 0), "A1", [-13.384082541152, -12.300669818698], 1312),
        ((0, 0), "A2", [-13.397370319960, -12.402048503140], 1328),
        ((0, 0), "B1", [-13.407831441629, -12.506686865592], 1288),
        ((0, 0), "B2", [-15.571620172966, -13.377238951606], 1360),
        ((3, 3), "B1", [-10.608917837366, -10.501262889498], 1288),
        ((3, 3), "B2", [-11.452949571787, -10.583560103180], 1360),
        ((1, 0), None, [-14.539665837461, -14.447019745567], 10472),
    ],
)
def test_symmetry_resolved_energies_of_6x6(momentum, irrep, energies, n_states):
    """t-V, 6x6 PBC, 5 particles, V = 1: tV_6x6_nf5_pbc_symmetry_resolved_ed.csv."""
    model = Lattice("tv", "6x6", 5, V=1.0)
    sector = space_group(model).sector(momentum, irrep)
    assert sector.n_states == n_states
    np.testing.assert_allclose(exact_levels(model, sector, k=2).energies, energies, atol=1e-9)


def test_hubbard_4x4():
    """U = 4, PBC: VarBench (Wu et al., Science 386, 296, 2024). The open shell of 4 + 4 is B1, not A1."""
    model = Lattice("hubbard", "4x4", "4,4", U=4.0)
    lowest = {
        irrep: exact_levels(model, space_group(model).sector((0, 0), irrep, spin_flip="even")).energies[0]
        for irrep in ("A1", "B1")
    }
    assert min(lowest, key=lowest.get) == "B1"
    assert lowest["B1"] == pytest.approx(-17.53489779664120, abs=1e-9)


@pytest.mark.slow
def test_hubbard_4x4_closed_shell():
    """U = 4, 5 + 5, PBC: VarBench."""
    model = Lattice("hubbard", "4x4", "5,5", U=4.0)
    sector = space_group(model).sector((0, 0), "A1", spin_flip="even")
    assert exact_levels(model, sector).energies[0] == pytest.approx(-19.580937525419, abs=1e-9)


def test_lanczos_finds_both_states_of_a_doublet():
    """A momentum alone holds both rows of E: exactly degenerate pairs in one sparse matrix."""
    model = Lattice("tv", "4x4", 7, V=1.0)
    group = space_group(model)
    sector = group.sector((0, 0))
    result = exact_levels(model, sector, k=9)
    dense = np.linalg.eigvalsh(result.basis.matrix().toarray())
    np.testing.assert_allclose(result.energies, dense[:9], atol=1e-9)
    assert sector.n_states > 600
    assert np.diff(dense[:9]).min() < 1e-10


def test_a_sector_without_states():
    """One doubly occupied site is a singlet: no triplet."""
    model = Lattice("hubbard", "1x1", "1,1", U=2.0)
    group = space_group(model)
    assert exact_levels(model, group.sector(spin_flip="even")).energies == pytest.approx([2.0])
    result = exact_levels(model, group.sector(spin_flip="odd"), k=2)
    assert result.energies.size == 0
    assert result.full_vectors().shape == (1, 0)


def test_affordable():
    large = Lattice("tv", "6x6", 13, V=1.0)
    sector = space_group(large).sector((0, 0), "B1")
    assert not is_affordable(large)
    assert not is_affordable(large, sector)
    with pytest.raises(InputError, match="too many for exact diagonalisation"):
        exact_levels(large, sector)
    hubbard = Lattice("hubbard", "4x4", "8,8", U=4.0)
    assert not is_affordable(hubbard)
    assert is_affordable(hubbard, space_group(hubbard).sector((0, 0), "A1", spin_flip="even"))
    many = Lattice("tv", "8x8", 1)
    with pytest.raises(InputError, match="64 sites: give at most 63"):
        exact_levels(many)
    # One particle on 63 sites uses the last bit of a word that has a sign.
    chain = Lattice("tv", "63x1", 2, V=1.0, boundary="open")
    whole = np.linalg.eigvalsh(chain.hopping)
    free = Lattice("tv", "63x1", 2, V=0.0, boundary="open")
    assert exact_levels(free).energies[0] == pytest.approx(whole[:2].sum(), abs=1e-9)


def test_bad_input():
    model = Lattice("tv", "3x3", 4)
    other = space_group(Lattice("tv", "3x3", 3)).sector((0, 0))
    with pytest.raises(InputError, match="another lattice or filling"):
        exact_levels(model, other)
    with pytest.raises(InputError, match="give at least one level"):
        exact_levels(model, k=0)
    sector = space_group(model).sector((0, 0), "A1")
    with pytest.raises(InputError, match="row 1: give 0 to 0"):
        exact_levels(model, sector).full_vectors(row=1)
