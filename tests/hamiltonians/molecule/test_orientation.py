"""Orbitals do not depend on what a diagonalisation happens to return for degenerate levels."""

import types

import numpy as np
import pytest
from scipy.stats import ortho_group

from hamiltonians import build_molecule
from hamiltonians.molecule import build as building
from hamiltonians.molecule.mean_field import solve_mean_field

AMMONIA = "N 0 0 0.2; H 0 0.9377 -0.1816; H 0.81207 -0.46885 -0.1816; H -0.81207 -0.46885 -0.1816"
METHANE = "C 0 0 0; H 0.63 0.63 0.63; H -0.63 -0.63 0.63; H -0.63 0.63 -0.63; H 0.63 -0.63 -0.63"
TILTED = "C 0 0 0; O 0.6 0.6 0.75"

SYSTEMS = [
    ("N2", "cc-pvdz", {}),
    ("LiH", "sto-3g", {}),
    ("C2", "sto-3g", {}),
    (AMMONIA, "sto-3g", {}),
    (METHANE, "6-31g", {}),
    ("O2", "6-31g", {}),
    ("O2", "6-31g", {"reference": "uhf"}),
    ("H6-ring-1.0", "sto-3g", {}),
    ("Ne 0 0 0", "cc-pvdz", {}),
    (TILTED, "6-31g", {}),
]
DERIVED = [
    ("N2", "6-31g", {"orbitals": "mp2-natural"}),
    ("N2", "6-31g", {"fno_virtuals": 4}),
    ("N2", "sto-3g", {"active_space": ("avas", ["N 2p"])}),
    ("N2", "sto-3g", {"orbitals": "boys", "frozen_core": True}),
]


def _sets(energies, occupations, tolerance):
    ends = (np.diff(energies) > tolerance) | (np.diff(occupations) != 0)
    return np.split(np.arange(energies.size), np.flatnonzero(ends) + 1)


def _scrambled(coefficients, energies, occupations, labels, rng):
    """Orbitals as another processor could return them: sets mixed and permuted, signs, rounding."""
    order = np.lexsort((energies, -occupations))
    c, e, occupied, labels = coefficients[:, order], energies[order], occupations[order], labels[order]
    for members in _sets(e, occupied, 3e-6):
        for label in np.unique(labels[members]):
            alike = members[labels[members] == label]
            if alike.size > 1:
                c[:, alike] = c[:, alike] @ ortho_group.rvs(alike.size, random_state=rng)
        c[:, members] = c[:, rng.permutation(members)]
        e[members] = e[members].mean() + 1e-10 * rng.normal(size=members.size)
    return c * rng.choice([-1.0, 1.0], size=e.size), e, occupied


@pytest.fixture
def other_processor(monkeypatch):
    """A function that makes the next molecules come from a mean field in other orbitals."""

    def use(seed):
        def solve(*arguments, **options):
            field = solve_mean_field(*arguments, **options)
            rng, scf = np.random.default_rng(seed), field.scf
            shape = np.shape(scf.mo_energy)
            labels = np.zeros(shape, int)
            if field.group is not None:
                labels = np.asarray(scf.get_orbsym(scf.mo_coeff, scf.get_ovlp()))
            parts = [np.asarray(scf.mo_coeff), np.asarray(scf.mo_energy), np.asarray(scf.mo_occ), labels]
            if len(shape) == 1:
                scf.mo_coeff, scf.mo_energy, scf.mo_occ = _scrambled(*parts, rng)
            else:
                spins = [_scrambled(*(part[spin] for part in parts), rng) for spin in (0, 1)]
                scf.mo_coeff, scf.mo_energy, scf.mo_occ = (np.stack(part) for part in zip(*spins))
            return field

        monkeypatch.setattr(building, "solve_mean_field", solve)

    return use


def _assert_equal(found, expected, dipoles=True):
    left, right = found.integrals, expected.integrals
    assert left.orbital_irreps == right.orbital_irreps
    assert left.reference_occupation == right.reference_occupation
    np.testing.assert_allclose(left.one_body, right.one_body, atol=1e-8)
    np.testing.assert_allclose(left.two_body, right.two_body, atol=1e-8)
    if dipoles:
        np.testing.assert_allclose(found.properties.dipole, expected.properties.dipole, atol=1e-7)


@pytest.mark.parametrize("symmetry", [True, False])
@pytest.mark.parametrize(("molecule", "basis", "options"), SYSTEMS)
def test_integrals_do_not_depend_on_the_mixture_of_degenerate_orbitals(
    other_processor, molecule, basis, options, symmetry
):
    options = {**options, "symmetry": symmetry, "references": False}
    expected = build_molecule(molecule, basis, **options)
    for seed in (1, 2):
        other_processor(seed)
        found = build_molecule(molecule, basis, **options)
        _assert_equal(found, expected)
        assert found.references["hf"] == pytest.approx(expected.references["hf"], abs=1e-10)


@pytest.mark.parametrize(("molecule", "basis", "options"), DERIVED)
def test_nor_do_orbitals_made_of_them(other_processor, molecule, basis, options):
    options = {**options, "references": False}
    expected = build_molecule(molecule, basis, **options)
    other_processor(3)
    _assert_equal(build_molecule(molecule, basis, **options), expected)


@pytest.mark.parametrize(
    ("molecule", "basis"), [("N2", "sto-3g"), ("LiH", "sto-3g"), ("H2O", "sto-3g"), (TILTED, "6-31g")]
)
def test_nor_on_the_axes_that_symmetry_is_found_in(monkeypatch, molecule, basis):
    """The frame of a linear molecule turns about its axis, axes change direction: same integrals."""
    import scipy.linalg
    from pyscf.symm import geom

    expected = build_molecule(molecule, basis, references=False)
    rng = np.random.default_rng(5)

    def eigh(matrix):
        values, vectors = scipy.linalg.eigh(matrix)
        for members in _sets(values, np.zeros(values.size), 1e-8):
            if members.size > 1:
                vectors[:, members] = vectors[:, members] @ ortho_group.rvs(members.size, random_state=rng)
        return values, vectors * rng.choice([-1.0, 1.0], size=values.size)

    linalg = types.SimpleNamespace(eigh=eigh)
    monkeypatch.setattr(geom, "scipy", types.SimpleNamespace(linalg=linalg))
    for _ in range(3):
        found = build_molecule(molecule, basis, references=False)
        # The orbitals turn with the frame, and so do their dipole integrals.
        _assert_equal(found, expected, dipoles=False)


def test_degenerate_orbitals_lie_along_the_axes(build):
    """No more integrals than with symmetry: pi orbitals are pi_x and pi_y, not a mixture."""
    with_labels, without = build("N2"), build("N2", symmetry=False)
    count = [np.count_nonzero(np.abs(s.integrals.two_body) > 1e-10) for s in (with_labels, without)]
    assert count[0] == count[1]
