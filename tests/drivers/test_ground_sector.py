"""The sector of the ground state, and options of lattices that must act."""

import pytest

from hamiltonians import InputError, Lattice, space_group
from nnbf.ansatz.orbitals import lowest_momentum
from nnbf.drivers.ground_sector import exact_ground_energies, ground_momentum, sector_warnings
from nnbf.runs.job import OneSector

ATTRACTIVE = Lattice("hubbard", "4x1", "2,2", U=-4.0)


def test_the_interaction_moves_the_ground_state():
    """Values of exact diagonalisation of the whole space."""
    assert lowest_momentum(ATTRACTIVE) == (2, 0)
    assert ground_momentum(ATTRACTIVE) == (0, 0)
    assert OneSector().choice(ATTRACTIVE).momenta == "0,0"
    assert min(exact_ground_energies(ATTRACTIVE).values()) == pytest.approx(-10.10274848, abs=1e-8)


def test_a_lower_sector_is_named():
    group = space_group(ATTRACTIVE)
    assert sector_warnings(ATTRACTIVE, group.sector((0, 0))) == ()
    (text,) = sector_warnings(ATTRACTIVE, group.sector((2, 0)))
    assert "momentum 0,0, irrep A1" in text
    assert "-10.10274848" in text
    assert sector_warnings(ATTRACTIVE, group.sector((0, 0), spin_flip=1)) == ()
    assert "momentum 0,0" in sector_warnings(ATTRACTIVE, group.sector((0, 0), spin_flip=-1))[0]


def test_what_was_not_looked_at_is_named():
    assert OneSector().choice(ATTRACTIVE, 0).momenta == "2,0"
    (text,) = sector_warnings(ATTRACTIVE, space_group(ATTRACTIVE).sector((2, 0)), 0)
    assert "none of which was looked at (0,0 1,0)" in text


def test_ties_stay_with_the_free_particles():
    free = Lattice("tv", "4x1", 2, V=0.0)
    assert ground_momentum(free) == lowest_momentum(free)


def test_second_neighbours_of_a_chain():
    """Exact diagonalisation of the ring with hopping to second neighbours."""
    ring = Lattice("tv", "6x1", 2, V=1.0, t_prime=0.5)
    assert min(exact_ground_energies(ring).values()) == pytest.approx(-3.35892320, abs=1e-8)


@pytest.mark.parametrize(
    ("kind", "values"), [("tv", {"t_prime": 0.5}), ("hubbard", {"V": 1.0})], ids=["hopping", "repulsion"]
)
def test_couplings_without_bonds_are_refused(kind, values):
    with pytest.raises(InputError, match="joins no sites"):
        Lattice(kind, "1x1", "1" if kind == "tv" else "1,1", **values)
