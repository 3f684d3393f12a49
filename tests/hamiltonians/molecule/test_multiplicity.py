"""A higher multiplicity that lies lower is named where the lowest was assumed."""

import pytest

from hamiltonians import build_molecule

CH2 = "C 0 0 0; H 0 0.98956 0.42076; H 0 -0.98956 0.42076"


def about_spin(molecule: str, **options) -> str:
    lines = build_molecule(molecule, **options).info.warnings
    (text,) = (line for line in lines if "unstable" not in line)
    return text


@pytest.mark.parametrize("references", [True, False], ids=["FCI", "Hartree-Fock"])
@pytest.mark.parametrize("molecule", [CH2, "O 0 0 0; O 0 0 1.2"], ids=["CH2", "O2"])
def test_the_triplet_is_mentioned(molecule, references):
    text = about_spin(molecule, references=references)
    assert "2S = 2 lies" in text
    assert f"lower in {'FCI' if references else 'Hartree-Fock'}: give spin 2" in text


def test_by_how_much():
    """FCI of both, in orbitals of each."""
    singlet, triplet = (build_molecule(CH2, spin=two_s).references["fci"] for two_s in (0, 2))
    text = about_spin(CH2)
    assert f"lies {1e3 * (singlet - triplet):.3g}" in text


def test_the_quartet_of_an_atom():
    assert "2S = 3" in build_molecule("N 0 0 0").info.warnings[0]


@pytest.mark.parametrize(
    ("molecule", "options"),
    [("H 0 0 0; H 0 0 4", {"references": False}), ("H 0 0 0; H 0 0 4", {}), (CH2, {"spin": 0}), ("CH2", {})],
    ids=["stretched", "FCI", "given", "stated"],
)
def test_nothing_to_mention(molecule, options):
    assert not any("2S" in text for text in build_molecule(molecule, **options).info.warnings)
