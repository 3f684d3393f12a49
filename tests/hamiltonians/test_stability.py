"""Instabilities of Hartree-Fock: mentioned, and followed on request."""

import pytest

from hamiltonians.molecule.geometry import read_geometry
from hamiltonians.molecule.mean_field import solve_mean_field


def solved(molecule: str, reference: str, stable: bool):
    geometry = read_geometry(molecule, unit="angstrom")
    return solve_mean_field(geometry, "sto-3g", charge=0, two_S=0, reference=reference, stable=stable)


@pytest.mark.parametrize(
    ("molecule", "rhf", "uhf"),
    [
        # PySCF by hand: newton() and stability() until stable, UHF from atoms of opposite spin.
        ("H 0 0 0; H 1.2 0 0; H 0 1.2 0; H 1.2 1.2 0", -1.7823613, -1.9324488),
        ("N 0 0 0; N 0 0 2.0", -107.0672946, -107.4320292),
    ],
)
def test_instabilities_are_mentioned_and_followed(molecule, rhf, uhf):
    left = solved(molecule, "auto", False)
    assert left.energy > rhf + 1e-3
    assert "unstable (internally)" in left.warnings[-1]
    inside = solved(molecule, "auto", True)
    assert inside.energy == pytest.approx(rhf, abs=1e-6)
    assert "unstable towards UHF (externally)" in inside.warnings[-1]
    apart = solved(molecule, "uhf", True)
    assert apart.energy == pytest.approx(uhf, abs=1e-6)
    assert not any("unstable" in line for line in apart.warnings)


def test_a_stable_solution_is_not_spoken_of():
    assert solved("H 0 0 0; H 0 0 0.74", "auto", True).warnings == ()
