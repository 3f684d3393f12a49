"""Runs that aim at a multiplicity, and observables at the end of a run."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hamiltonians import InputError, Molecule, build_molecule
from nnbf.determinants import build_tables, enumerate_sector, hamiltonian_matrix
from nnbf.determinants.spin_ladder import spin_raising_matrix
from nnbf.drivers import Monitor, SolverOptions, solve
from tests.determinants.oracles import random_integrals

SMALL = {"hidden": (8,), "n_determinants": 1, "spin_flip": "none"}
CH2 = "C 0 0 0; H 0 0.98 0.45; H 0 -0.98 0.45"


@cache
def methylene() -> Molecule:
    """CH2 with M_S = 0 and an open-shell reference: the triplet lies below all singlets."""
    system = build_molecule(CH2, "sto-3g", spin=0, symmetry=False, frozen_core=1, references=False)
    return replace(system, integrals=replace(system.integrals, reference_occupation=((0, 1, 2), (0, 1, 3))))


@cache
def levels():
    """(energies, <S^2>) of the states that couple to the reference."""
    integrals = methylene().integrals
    rows = enumerate_sector(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta)
    matrix = hamiltonian_matrix(build_tables(integrals), rows).toarray()
    raising = spin_raising_matrix(rows, integrals.n_orbitals)
    energies, vectors = np.linalg.eigh(matrix)
    reference = np.array([7, 11], dtype=np.uint64)
    (place,) = np.flatnonzero(np.all(rows == reference, axis=1))
    coupled = np.abs(vectors[place]) > 1e-6
    spins = np.sum((raising @ vectors) ** 2, axis=0)
    return energies[coupled], spins[coupled]


def test_without_a_penalty_the_triplet_is_found_and_announced():
    energies, spins = levels()
    result = solve(methylene(), SolverOptions(**SMALL)).lowest
    assert spins[0] == pytest.approx(2.0, abs=1e-8)
    assert result.energy.value == pytest.approx(energies[0], abs=1e-4)
    assert result.s_squared == pytest.approx(2.0, abs=1e-3)
    (warning,) = [text for text in result.warnings if "<S^2>" in text]
    assert "spin_penalty" in warning


def test_a_penalty_finds_the_singlet():
    energies, spins = levels()
    singlet = energies[np.flatnonzero(np.abs(spins) < 1e-6)[0]]
    rows = []
    result = solve(methylene(), SolverOptions(**SMALL, spin_penalty=0.2), monitor=Monitor(rows.append)).lowest
    assert singlet > energies[0] + 0.05
    # The energy reported is that of H alone.
    assert result.energy.value == pytest.approx(singlet, abs=1e-4)
    assert rows[-1]["energy"] == pytest.approx(result.estimates["variational"].value, abs=1e-5)
    assert abs(result.s_squared) < 1e-3
    assert not any("<S^2>" in text for text in result.warnings)


@pytest.mark.slow
def test_the_triplet_of_a_closed_shell_molecule():
    system = build_molecule("LiH", "sto-3g", spin=2)
    result = solve(system, SolverOptions(**SMALL, spin_penalty=0.2, rdm2=True)).lowest
    assert result.energy.value == pytest.approx(system.references["fci"], abs=1e-5)
    assert result.s_squared == pytest.approx(2.0, abs=1e-4)
    found = result.observables
    assert found.kind == result.energy.kind
    assert found.s_z.value == 1.0
    assert found.energy_from_densities.value == pytest.approx(result.energy.value, abs=1e-9)


def test_spin_penalties_that_cannot_be_are_refused():
    options = SolverOptions(spin_penalty=0.1)
    bare = Molecule(random_integrals(3, 1, 1, spin_resolved=True))
    with pytest.raises(InputError, match="needs the overlap"):
        solve(bare, options)
    frozen = build_molecule("OH", "sto-3g", reference="uhf", frozen_core=1, references=False)
    with pytest.raises(InputError, match="no frozen core"):
        solve(frozen, options)
    with pytest.raises(InputError, match="spin_penalty must be at least 0"):
        SolverOptions(spin_penalty=-1.0)
    with pytest.raises(InputError, match="41 orbitals do not fit"):
        solve(Molecule(random_integrals_of(41)), SolverOptions(rdm2=True))


def random_integrals_of(size):
    from hamiltonians import MolecularIntegrals

    pairs = size * (size + 1) // 2
    return MolecularIntegrals(0.0, np.diag(np.arange(float(size))), np.zeros((pairs, pairs)), 1, 1)
