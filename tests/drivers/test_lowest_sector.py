"""The sector of the reference determinant, and the lowest one."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hamiltonians import MolecularIntegrals, Molecule, build_molecule
from nnbf import SolverOptions, solve
from nnbf.drivers import lowest_sector
from nnbf.drivers.lowest_sector import conserved_parities, in_lowest_sector, look

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from _random_hamiltonians import exact_ground_state, random_hamiltonian
from hidden_sectors import judged


def hidden(n_alpha: int = 1, n_beta: int = 1) -> MolecularIntegrals:
    """Two orbitals, and two that nothing connects with them; the first ones are filled, the others lower."""
    one_body = np.diag([-1.0, -0.5, -0.9, -1.1]) - 0.4 * np.kron(np.eye(2), [[0, 1], [1, 0]])
    one_body[2:, 2:] -= 0.3 * np.eye(2)
    two_body = np.zeros((4,) * 4)
    for p in range(4):
        two_body[p, p, p, p] = 0.5
    return MolecularIntegrals.from_full(0.0, one_body, two_body, n_alpha, n_beta)


@pytest.mark.parametrize("first", [0, 9])
def test_look_finds_the_lowest_of_all_sectors(first):
    for seed in range(first, first + 9):
        _, integrals = random_hamiltonian(seed)
        exact = exact_ground_state(integrals)
        seen = look(integrals, 0 < integrals.n_alpha == integrals.n_beta)
        found = seen.anywhere.energy if seen.odd is None else min(seen.anywhere.energy, seen.odd.energy)
        assert found == pytest.approx(exact, rel=1e-8, abs=1e-6)  # weaker couplings do not count
        assert seen.here.energy > exact - 1e-6 * max(1.0, abs(exact))


def test_the_reference_moves_to_the_lowest_hidden_sector():
    exact = exact_ground_state(hidden())
    options = SolverOptions(
        hidden=(4,), n_determinants=1, max_steps=12, full_sum_limit=0, projected=False, pt2=False
    )
    level = solve(Molecule(hidden()), options).lowest
    assert float(level.energy) == pytest.approx(exact, abs=1e-2)
    line = level.warnings[0]
    assert "hidden symmetry" in line
    assert "2000" in line
    assert f"{exact:.6f}" in line
    assert len(line) < 300


def test_selected_spaces_tell_parities_apart(monkeypatch):
    monkeypatch.setattr(lowest_sector, "LISTED", 0)
    integrals = hidden(2, 1)
    codes = conserved_parities(integrals)
    assert codes[0] == codes[1] != codes[2] == codes[3]
    moved = in_lowest_sector(Molecule(integrals), SolverOptions())
    alpha, beta = moved.integrals.reference_occupation
    assert len(set(alpha + beta) & {2, 3}) > 0
    assert "about" in moved.info.warnings[0]


def test_a_lower_state_of_odd_spin_is_named():
    size = 2
    two_body = np.zeros((size,) * 4)
    two_body[0, 0, 0, 0] = two_body[1, 1, 1, 1] = 1.0
    two_body[0, 1, 0, 1] = two_body[1, 0, 0, 1] = two_body[0, 1, 1, 0] = two_body[1, 0, 1, 0] = 0.2
    integrals = MolecularIntegrals.from_full(0.0, -0.1 * np.eye(size), two_body, 1, 1)
    seen = look(integrals, True)
    assert seen.odd is not None
    assert seen.odd.energy == pytest.approx(exact_ground_state(integrals))
    line = solve(Molecule(integrals), SolverOptions(hidden=(4,), max_steps=12)).lowest.warnings[-1]
    assert "triplet" in line
    assert "2S = 2" in line


@pytest.mark.parametrize("name", ["LiH", "H2O", "N2"])
def test_ordinary_molecules_stay_as_they_are(name):
    system = build_molecule(name, references=False)
    assert in_lowest_sector(system, SolverOptions()) is system


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("hamiltonian", (4, 8)),
        ("lattice", (2,)),
        pytest.param("hamiltonian", (1, 2, 3, 5, 9, 11, 23), marks=pytest.mark.slow),
        pytest.param("lattice", (0, 9), marks=pytest.mark.slow),
    ],
)
def test_random_problems_against_all_sectors(name, seeds):
    """The short version of benchmarks/hidden_sectors.py."""
    assert [found for found in (judged(name, seed) for seed in seeds) if found["faults"]] == []
