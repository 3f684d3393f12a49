"""What records say of virtual orbitals that were left out, and the estimate of the whole basis."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamiltonians import Molecule

MP2_CORRECTED = "mp2_corrected"
"""Kind of the headline energy plus the MP2 correction for virtual orbitals that were left out."""


def truncation_record(system: "Molecule") -> dict[str, Any] | None:
    """Return what was left out and the energies of the whole basis; None where nothing was cut.

    See `hamiltonians.Truncation.record` for the keys.
    """
    return None if system.truncation is None else system.truncation.record(system.references)


def with_correction(record: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a result.json with the estimate `mp2_corrected`, where orbitals were left out.

    The headline stays as it is: that of the Hamiltonian without the orbitals that were left out. Its error
    is that of the estimate too: how far off second order is, is unknown.

    Args:
        record: With `energy`, `energy_error`, `energy_kind`, `estimates` and, where orbitals were left out,
            `truncation`.
    """
    truncation: Mapping[str, Any] | None = record.get("truncation")
    energy = record.get("energy")
    if truncation is None or energy is None:
        return record
    correction, kind, dropped = truncation["correction"], record.get("energy_kind"), truncation["n_dropped"]
    estimate = {
        "energy": energy + correction,
        "error": record.get("energy_error"),
        "upper_bound": False,
        "correction": correction,
        "corrected": kind,
        "note": f"{kind} plus MP2 for {dropped} virtual orbitals left out",
    }
    return {**record, "estimates": {**(record.get("estimates") or {}), MP2_CORRECTED: estimate}}
