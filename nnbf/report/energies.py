"""Energies side by side: each with its kind, whether it is an upper bound, and how far from what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnbf.estimate import KINDS, REFERENCES, reference_label

_TRUST = ("fci", "ed", "ccsd_t", "ccsd", "mp2", "hf")


@dataclass(frozen=True)
class Yardstick:
    """The reference that differences are taken to."""

    key: str
    """Its key in result.json: "fci"."""
    label: str
    """Its name: "FCI"."""
    energy: float
    """Its energy."""

    @property
    def is_exact(self) -> bool:
        """Whether it is the exact ground state of the same Hamiltonian."""
        return REFERENCES.get(self.key, ("", ""))[1] == "exact"


@dataclass(frozen=True)
class EnergyRow:
    """One energy of a table."""

    label: str
    """Name of the method or kind."""
    energy: float
    """Energy in the unit of the run."""
    error: float | None
    """Its statistical or fit error, in the same unit; None for a reference."""
    difference: float | None
    """Energy less that of the yardstick, in thousandths of the unit (mHa)."""
    upper_bound: str
    """Whether it bounds the ground state from above: "yes", "no", "exact", "within its error"."""
    note: str
    """What to know about it, or ""."""
    is_reference: bool
    """Whether another method computed it."""
    is_main: bool
    """Whether it is the energy that the run reports."""


def best_reference(references: Mapping[str, float | None]) -> Yardstick | None:
    """Return the most trusted reference there is: exact, then CCSD(T), CCSD, MP2, HF."""
    others = [key for key in references if key not in _TRUST]
    for key in (*_TRUST, *others):
        energy = references.get(key)
        if energy is not None:
            return Yardstick(key, reference_label(key), energy)
    return None


def error_unit(result: Mapping[str, Any]) -> str:
    """Return the name of a thousandth of the energy unit."""
    unit = result.get("energy_unit") or "Hartree"
    return "mHa" if unit == "Hartree" else f"10⁻³ {unit}"


def energy_rows(result: Mapping[str, Any]) -> list[EnergyRow]:
    """Return all energies of a result: references first, from HF to exact, then the run's own.

    Args:
        result: Content of result.json.
    """
    references = result.get("references") or {}
    notes = result.get("reference_notes") or {}
    yardstick = best_reference(references)
    rows = []
    for key in (*REFERENCES, *(key for key in references if key not in REFERENCES)):
        energy = references.get(key)
        if energy is None:
            continue
        bound = REFERENCES.get(key, ("", "no"))[1]
        rows.append(
            EnergyRow(
                reference_label(key), energy, None, _difference(energy, yardstick), bound,
                notes.get(key, ""), True, False,
            )
        )  # fmt: skip
    estimates = result.get("estimates") or {}
    for kind in (*KINDS, *(kind for kind in estimates if kind not in KINDS)):
        estimate = estimates.get(kind)
        if not estimate or estimate.get("energy") is None:
            continue
        label, bound = KINDS.get(kind, (kind, "no"))
        energy = estimate["energy"]
        # The references are those of the kept orbitals: the whole basis has others.
        comparable = None if kind == "mp2_corrected" else yardstick
        rows.append(
            EnergyRow(
                label, energy, estimate.get("error"), _difference(energy, comparable), bound,
                str(estimate.get("note") or ""), False, kind == result.get("energy_kind"),
            )
        )  # fmt: skip
    return rows


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
    kept, dropped, density = (truncation[key] for key in ("n_kept", "n_dropped", "density"))
    lines = [
        f"{kept} of {kept + dropped} virtual orbitals kept (natural orbitals of {reference_label(density)}): "
        f"all energies but HF and '{KINDS['mp2_corrected'][0]}' are those of this smaller space",
        f"MP2 correction for the other {dropped}: {1e3 * truncation['correction']:+.4f} {error_unit(result)}",
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


def _difference(energy: float, yardstick: Yardstick | None) -> float | None:
    return None if yardstick is None else 1e3 * (energy - yardstick.energy)
