"""Observables of a result as rows of text, for the page, the Markdown file and the screen."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nnbf.report import numbers


class ObservableRow(NamedTuple):
    """One line."""

    label: str
    value: str
    unit: str
    kind: str


def observable_rows(result: Mapping[str, Any]) -> list[ObservableRow]:
    """Return what result.json says of dipole moment, spin and natural orbitals."""
    found = result.get("observables") or {}
    rows = []
    for label, key, digits, unit in (
        ("⟨S²⟩", "s_squared", 4, ""),
        ("S_z", "s_z", 1, ""),
        ("dipole moment", "dipole_debye", 4, "debye"),
        ("dipole moment (x, y, z)", "dipole_au", 4, "e a₀"),
        ("natural occupations", "natural_occupations", 4, ""),
        ("inverse participation ratio", "inverse_participation_ratio", 4, ""),
        ("energy from density matrices", "energy_from_densities", 8, "Hartree"),
    ):
        entry = found.get(key)
        if entry is None:
            continue
        value, error = entry["value"], entry.get("error")
        if key == "dipole_debye":
            value, error = entry["norm"], entry["norm_error"]
        rows.append(ObservableRow(label, _text(value, error, digits), unit, str(entry.get("kind", ""))))
    return rows


def determinant_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the largest determinants: alpha and beta occupations as text, and the weight."""
    listed = (result.get("observables") or {}).get("largest_determinants") or []
    return [
        (
            " ".join(map(str, entry["alpha"])),
            " ".join(map(str, entry["beta"])),
            _text(entry["weight"], entry.get("error"), 6),
        )
        for entry in listed
    ]


def density_checks(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the checks of the density matrices as text, by name."""
    checks = (result.get("observables") or {}).get("checks") or {}
    return {name.replace("_", " "): numbers.small(value) for name, value in checks.items()}


def _text(value: Any, error: Any, digits: int) -> str:
    if isinstance(value, list):
        errors = error if isinstance(error, list) else [error] * len(value)
        return "  ".join(_text(one, its, digits) for one, its in zip(value, errors, strict=True))
    value = 0.0 if abs(value) < 0.5 * 10.0**-digits else value  # no "-0.0000"
    text = f"{value:.{digits}f}".replace("-", numbers.MINUS)
    return f"{text} ± {error:.1e}" if error else text
