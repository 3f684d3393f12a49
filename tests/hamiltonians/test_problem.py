"""Problems of every kind have the same surface, and are saved and read in the same way."""

import numpy as np
import pytest

from hamiltonians import InputError, Lattice, Molecule, load_problem, save_problem

LATTICES = {
    "tv": Lattice("tv", "3x2", 2, V=1.5, boundary=("pbc", 0.25)),
    "hubbard": Lattice("hubbard", "2x2", "2,1", U=4.0, V=0.5, t_prime=-0.2, geometry="triangular"),
}


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("name", LATTICES)
def test_lattices_come_back(tmp_path, name, suffix):
    model = LATTICES[name]
    path = model.save(tmp_path / f"lattice{suffix}")
    assert load_problem(path) == model
    assert load_problem(path, Lattice) == model
    with pytest.raises(InputError, match="holds a Lattice, not a Molecule"):
        load_problem(path, Molecule)


def test_molecules_come_back_and_are_no_lattices(tmp_path, build):
    system = build("LiH")
    path = save_problem(system, tmp_path / "system.npz")
    np.testing.assert_array_equal(load_problem(path).integrals.two_body, system.integrals.two_body)
    with pytest.raises(InputError, match="holds a Molecule, not a Lattice"):
        load_problem(path, Lattice)


def test_every_kind_says_what_it_is(build):
    found = [(p.kind, p.unit, p.n_modes, p.particles) for p in (*LATTICES.values(), build("LiH"))]
    assert found == [
        ("tv", "t", 6, (2,)),
        ("hubbard", "t", 8, (2, 1)),
        ("molecule", "Hartree", 12, (2, 2)),
    ]
    assert build("LiH").title == "HLi / sto-3g"
    assert LATTICES["tv"].title == str(LATTICES["tv"])
    assert set(build("LiH").references) == {"hf", "mp2", "ccsd", "ccsd_t", "fci"}
    assert not LATTICES["tv"].references


def test_sectors(build):
    (sector,) = build("LiH").sectors()
    assert (sector.label, sector.irrep, sector.momentum, sector.spin_flip) == ("A1", "A1", None, None)
    (whole,) = build("LiH", symmetry=False).sectors()
    assert (whole.label, whole.irrep) == ("all", None)
    model = Lattice("tv", "2x2", 1)
    assert [s.momentum for s in model.sectors(irreps=None)] == [(0, 0), (1, 0), (1, 1)]
    assert [s.label for s in model.sectors(["G"], ["a1"])] == ["(0,0) A1"]
