"""Fillings with a part in a sector: against projected Slater determinants on all configurations."""

import numpy as np
import pytest

from hamiltonians import Lattice, lattice_configurations, space_group
from hamiltonians.lattice.sector import move_configurations
from nnbf.ansatz import SymmetryElements, free_orbitals
from nnbf.ansatz.orbitals import lowest_momentum

CLOSED = Lattice("tv", (4, 4), 5, V=1.0)


def elements(sector):
    return SymmetryElements.from_arrays(sector.permutations, sector.phases, sector.weights, sector.spin_flips)


def projected_norm(model, orbitals, sector, number):
    """Squared norm of the projection of one filling, and what is left of it orthogonal to those before."""
    configurations = lattice_configurations(model)
    place = {c.tobytes(): i for i, c in enumerate(configurations)}
    vectors = []
    for d in range(number + 1):
        rows = np.asarray(orbitals.envelope)[d] * np.asarray(orbitals.amplitudes)[d][:, orbitals.places]
        sites = np.nonzero(configurations)[1].reshape(len(configurations), -1)
        psi = np.linalg.det(rows[:, sites].transpose(1, 0, 2)) / np.sqrt(model.n_sites) ** model.n_particles
        total = np.zeros(len(psi), complex)
        for permutation, phases, weight in zip(
            sector.permutations, sector.phases, sector.weights, strict=True
        ):
            moved, factor = move_configurations(configurations, permutation, phases)
            target = [place[c.tobytes()] for c in moved]
            total[target] += weight * factor * psi
        vectors.append(total)
    basis = np.array(vectors[:-1]).T
    last = vectors[-1]
    rest = last - basis @ np.linalg.lstsq(basis, last, rcond=None)[0] if number else last
    return np.linalg.norm(last) ** 2, np.linalg.norm(rest) ** 2


@pytest.mark.parametrize("irrep", ["A1", "B2"])
def test_chosen_fillings_have_a_new_part(irrep):
    sector = space_group(CLOSED).sector((0, 0), irrep)
    (orbitals,) = free_orbitals(CLOSED, (0, 0), n_determinants=2, real=False, symmetry=elements(sector))
    for number in range(2):
        norm, new = projected_norm(CLOSED, orbitals, sector, number)
        assert norm > 1e-6
        assert new > 1e-6 * norm


def test_the_closed_shell_is_in_b2_alone():
    group = space_group(CLOSED)
    (lowest,) = free_orbitals(CLOSED, (0, 0), real=False)
    for irrep in ("A1", "A2", "B1", "B2"):
        (chosen,) = free_orbitals(CLOSED, (0, 0), real=False, symmetry=elements(group.sector((0, 0), irrep)))
        same = np.array_equal(np.asarray(chosen.envelope), np.asarray(lowest.envelope))
        assert same == (irrep == "B2")


def test_open_shells_take_all_fillings_of_the_lowest_energy():
    model = Lattice("tv", (4, 4), 7, V=1.0)
    assert free_orbitals(model, (0, 0), n_determinants=None)[0].n_determinants == 2
    assert free_orbitals(CLOSED, (0, 0), n_determinants=None)[0].n_determinants == 1
    # Thirteen there: as many as are taken at most.
    assert free_orbitals(model, (1, 0), n_determinants=None)[0].n_determinants == 4


def test_lowest_momentum():
    assert lowest_momentum(CLOSED) == (0, 0)
    assert lowest_momentum(Lattice("tv", (4, 4), 1)) == (0, 0)
    assert lowest_momentum(Lattice("tv", (4, 1), 2)) in ((1, 0), (3, 0))
    assert lowest_momentum(Lattice("tv", (4, 4), 5, boundary="open")) == (0, 0)
