"""Energies side by side: each with its kind, whether it is an upper bound, and how far from what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnbf.estimate import KINDS, REFERENCES, reference_label

_TRUST = ("fci", "ed", "ccsd_t", "ccsd", "mp2", "hf")


@dataclass(frozen=True)
class Reference:
    """The energy of another method that differences are taken to."""

    key: str
    """Its key in result.json: "fci"."""
    label: str
    """Its name: "FCI"."""
    energy: float
    """Its energy."""

    @property
    def is_exact(self) -> bool:
        """True where it is the exact ground state of the same Hamiltonian."""
        return REFERENCES.get(self.key, ("", ""))[1] == "exact"


def best_reference(references: Mapping[str, float | None]) -> Reference | None:
    """Return the most trusted reference there is: exact, then CCSD(T), CCSD, MP2, HF."""
    others = [key for key in references if key not in _TRUST]
    for key in (*_TRUST, *others):
        energy = references.get(key)
        if energy is not None:
            return Reference(key, reference_label(key), energy)
    return None


def error_unit(unit: str | None) -> str:
    """Return the name of a thousandth of a unit of energies; None is Hartree."""
    unit = unit or "Hartree"
    return "mHa" if unit == "Hartree" else f"10⁻³ {unit}"


def bound_words(kind: str) -> str:
    """Return how an energy of this kind bounds the ground state: "an upper bound within its error"."""
    bound = KINDS.get(kind, ("", "no"))[1]
    words = {"yes": "an upper bound", "no": "not an upper bound"}
    return words.get(bound, "an upper bound within its error")


def missing_references(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, why) of the references that were not computed."""
    references = result.get("references") or {}
    notes = result.get("reference_notes") or {}
    return [
        (reference_label(key), notes.get(key, "not asked for"))
        for key, energy in references.items()
        if energy is None
    ]


def truncation_lines(result: Mapping[str, Any]) -> list[str]:
    """Return what to know about virtual orbitals that were left out; nothing where none were."""
    truncation = result.get("truncation")
    if not truncation or not truncation["n_dropped"]:
        return []
    milli = error_unit(result.get("energy_unit"))
    kept, dropped, density = (truncation[key] for key in ("n_kept", "n_dropped", "density"))
    lines = [
        f"{kept} of {kept + dropped} virtual orbitals kept (natural orbitals of {reference_label(density)}): "
        f"all energies but HF and '{KINDS['mp2_corrected'][0]}' are those of this smaller space",
        f"MP2 correction for the other {dropped}: {1e3 * truncation['correction']:+.4f} {milli}",
    ]
    others = [
        f"{reference_label(key)} {1e3 * value:+.4f}"
        for key, value in truncation["corrections"].items()
        if value is not None and key != "mp2"
    ]
    if others:
        lines[-1] += f" (by other methods: {', '.join(others)})"
    whole = [
        f"{reference_label(key)} {energy:.8f}"
        for key, energy in truncation["references"].items()
        if energy is not None and key != "hf"
    ]
    return [*lines, f"with all virtual orbitals: {', '.join(whole)}"]
