"""Orbitals of one geometry turned to those of another."""

from dataclasses import replace

import numpy as np
import pytest
from pyscf import fci
from scipy.linalg import block_diag
from scipy.stats import ortho_group

from hamiltonians import InputError, align_orbitals, determinant_energy, load_problem

N2 = "N 0 0 0; N 0 0 1.1"
WATER = ("O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", "O 0 0 0; H 0 0.80 0.62; H 0 -0.78 0.55")


def turned(system, rotation):
    """The same system in other orbitals."""
    return replace(
        system,
        integrals=system.integrals.rotate(rotation),
        properties=system.properties.rotate(rotation),
    )


def random_blocks(*sizes, seed=1):
    return block_diag(
        *(
            ortho_group.rvs(size, random_state=seed + k) if size > 1 else -np.eye(size)
            for k, size in enumerate(sizes)
        )
    )


def assert_same(found, wanted):
    np.testing.assert_allclose(found.integrals.one_body, wanted.integrals.one_body, atol=1e-10)
    np.testing.assert_allclose(found.integrals.two_body, wanted.integrals.two_body, atol=1e-10)
    np.testing.assert_allclose(found.properties.dipole, wanted.properties.dipole, atol=1e-10)
    assert found.integrals.orbital_irreps == wanted.integrals.orbital_irreps
    assert found.integrals.reference_occupation == wanted.integrals.reference_occupation


def test_mixed_degenerate_orbitals_come_back(build):
    """Without irreps pi_x and pi_y, and everything else of one occupation, may be mixed at will."""
    system = build(N2, symmetry=False)
    found = align_orbitals(turned(system, random_blocks(7, 3)), like=system)
    assert found.overlap == pytest.approx(1.0, abs=1e-12)
    assert_same(found.system, system)
    assert found.system.info.orbitals == "canonical, aligned"
    assert align_orbitals(found.system, like=system).system.info.orbitals == "canonical, aligned"


def test_signs_and_order_come_back_with_their_irreps(build):
    system = build(N2)
    signs = np.where(np.arange(10) % 3, 1.0, -1.0)
    order = [4, 1, 0, 3, 2, 6, 5, 9, 8, 7]
    found = align_orbitals(turned(system, (np.eye(10) * signs)[:, order]), like=system)
    assert found.overlap == pytest.approx(1.0, abs=1e-12)
    assert_same(found.system, system)


def test_spins_of_their_own(build):
    system = build("O 0 0 0; H 0 0 1.0", reference="uhf", spin=1, symmetry=False)
    rotation = np.stack([random_blocks(5, 1), random_blocks(4, 2, seed=7)])
    found = align_orbitals(turned(system, rotation), like=system)
    assert_same(found.system, system)
    np.testing.assert_allclose(
        found.system.properties.overlap_alpha_beta, system.properties.overlap_alpha_beta, atol=1e-10
    )


def test_a_wave_function_keeps_its_meaning(build):
    """The FCI vector of water, taken over by a distorted molecule, is far below Hartree-Fock there."""
    first, second = (build(geometry, symmetry=False) for geometry in WATER)
    scrambled = turned(second, random_blocks(5, 2))
    found = align_orbitals(scrambled, like=first)
    assert found.overlap > 0.95
    vector = fci.direct_spin1.FCI().kernel(
        first.integrals.one_body, first.integrals.two_body, 7, (5, 5), ecore=0.0
    )[1]

    def energy(system):
        h, eri = system.integrals.one_body, system.integrals.two_body
        return system.integrals.constant + fci.direct_spin1.energy(h, eri, vector, 7, (5, 5))

    h, eri = second.integrals.one_body, second.integrals.two_body
    exact = second.integrals.constant + fci.direct_spin1.FCI().kernel(h, eri, 7, (5, 5))[0]
    hartree_fock = second.references["hf"]
    assert hartree_fock - exact > 0.05
    assert energy(found.system) - exact < 0.05 * (hartree_fock - exact)
    assert energy(scrambled) > hartree_fock
    assert determinant_energy(found.system.integrals) == pytest.approx(hartree_fock, abs=1e-8)
    assert determinant_energy(scrambled.integrals) == pytest.approx(hartree_fock, abs=1e-8)


def test_a_lower_symmetry_keeps_its_own_irreps(build):
    first, second = (build(geometry) for geometry in WATER)
    assert (first.integrals.point_group, second.integrals.point_group) == ("C2v", "Cs")
    found = align_orbitals(second, like=first)
    assert found.overlap > 0.95
    labels = {"A1": "A'", "B1": 'A"', "B2": "A'", "A2": 'A"'}
    assert found.system.integrals.orbital_irreps in (
        tuple(labels[name] for name in first.integrals.orbital_irreps),
        tuple({**labels, "B1": "A'", "B2": 'A"'}[name] for name in first.integrals.orbital_irreps),
    )


def test_an_active_space_is_aligned_on_its_own(build):
    first, second = (build(geometry, frozen_core=True, active_space=(6, 5)) for geometry in WATER)
    found = align_orbitals(second, like=first)
    assert 0.9 < found.overlap <= 1.0
    assert determinant_energy(found.system.integrals) == pytest.approx(second.references["hf"], abs=1e-8)


def test_no_counterpart(build):
    """Where another orbital is occupied there is none."""
    system = build("Li 0 0 0; H 0 0 1.6", symmetry=False)
    exchanged = np.eye(6)[:, [0, 5, 2, 3, 4, 1]]
    assert align_orbitals(turned(system, exchanged), like=system).overlap < 1e-6


def test_systems_that_cannot_be_compared(build):
    system = build(N2)
    for other, message in (
        (build(N2, "6-31g"), r"orbitals 10 there and 18 here"),
        (build(N2, "sto-6g"), "basis sto-3g there and sto-6g here"),
        (build("C 0 0 0; O 0 0 1.1"), "atoms N N there and C O here"),
        (build(N2, charge=1), "electrons"),
        (build(N2, reference="uhf"), "sets of orbitals"),
        (replace(system, properties=None), "not known"),
    ):
        with pytest.raises(InputError, match=message):
            align_orbitals(other, like=system)


def test_saved_systems_keep_their_orbitals(build, tmp_path):
    system = build(N2)
    loaded = load_problem(system.save(tmp_path / "n2.npz"))
    np.testing.assert_array_equal(loaded.properties.coefficients, system.properties.coefficients)
    found = loaded.properties.coefficients
    np.testing.assert_allclose(found.T @ found, np.eye(10), atol=1e-9)
