"""Hartree-Fock of lattice models against exact matrices."""

import itertools

import numpy as np
import pytest

from hamiltonians import Lattice, exact_levels, lattice_configurations, lattice_to_sparse
from hamiltonians.lattice.hartree_fock import mean_field


def determinant_vector(model, orbitals):
    """Amplitudes of the determinant on all configurations, spin by spin."""
    vectors = []
    for row in lattice_configurations(model):
        blocks = row.reshape(-1, model.n_sites).astype(bool)
        vectors.append(
            np.prod([np.linalg.det(rows[:, block]) for rows, block in zip(orbitals, blocks, strict=True)])
        )
    return np.array(vectors)


@pytest.mark.parametrize(
    "model",
    [
        Lattice("tv", (3, 2), 2, V=1.5, boundary=("apbc", "pbc")),
        Lattice("hubbard", (3, 2), (2, 1), U=3.0, V=0.7, boundary=(0.3, "pbc")),
    ],
    ids=str,
)
def test_the_energy_is_that_of_the_determinant(model):
    found = mean_field(model)
    psi = determinant_vector(model, found.orbitals)
    assert np.linalg.norm(psi) == pytest.approx(1.0)
    assert (psi.conj() @ (lattice_to_sparse(model) @ psi)).real == pytest.approx(found.energy, abs=1e-10)
    assert found.energy > exact_levels(model).energies[0]
    for rows in found.orbitals:
        assert np.allclose(rows @ rows.conj().T, np.eye(len(rows)), atol=1e-12)


def test_nothing_to_correlate():
    model = Lattice("tv", (4, 3), 3)
    found = mean_field(model)
    assert found.converged
    assert found.energy == pytest.approx(np.sort(np.linalg.eigvalsh(model.hopping))[:3].sum(), abs=1e-9)


def test_the_half_filled_hubbard_model_is_an_antiferromagnet():
    model = Lattice("hubbard", (4, 2), (4, 4), U=8.0)
    found = mean_field(model)
    assert found.converged
    magnetisation = [np.sum(np.abs(rows) ** 2, axis=0) for rows in found.orbitals]
    moments = magnetisation[0] - magnetisation[1]
    signs = np.array([(-1) ** (x + y) for x, y in itertools.product(range(4), range(2))])
    assert np.all(np.abs(moments) > 0.7)
    assert len(set(np.sign(moments) * signs)) == 1
