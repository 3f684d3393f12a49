"""Virtual orbitals left out of a Hamiltonian, and the second-order energy of leaving them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_CORRELATED = ("mp2", "ccsd", "ccsd_t", "fci")


@dataclass(frozen=True)
class Truncation:
    """Frozen natural orbitals: virtual orbitals of small occupation are not in the Hamiltonian.

    The Hamiltonian, and every energy computed from it, is that of the kept orbitals. `correction` is the
    second-order estimate of the rest, to be added to an energy of the kept orbitals.
    """

    density: str
    """Wave function whose density gave the natural orbitals: "mp2" or "ccsd"."""
    threshold: float | None
    """Smallest occupation (0 to 2) that was kept; None where only their number was given."""
    most: int | None
    """Largest number of virtual orbitals that was asked for; None for any."""
    occupations: tuple[float, ...]
    """Natural occupations of all virtual orbitals, falling; the first `n_kept` are in the Hamiltonian."""
    n_kept: int
    """Number of virtual orbitals in the Hamiltonian."""
    mp2_all: float
    """MP2 energy with all virtual orbitals, Hartree (the same core frozen)."""
    mp2_kept: float
    """MP2 energy of the Hamiltonian, Hartree."""
    references: Mapping[str, float | None] = field(default_factory=dict)
    """Energies with all virtual orbitals, Hartree, under the keys of `Molecule.references`."""
    reference_notes: Mapping[str, str] = field(default_factory=dict)
    """Notes on these references by method."""

    @property
    def n_virtual(self) -> int:
        """Number of virtual orbitals of the basis."""
        return len(self.occupations)

    @property
    def n_dropped(self) -> int:
        """Number of virtual orbitals that were left out."""
        return self.n_virtual - self.n_kept

    @property
    def dropped_occupation(self) -> float:
        """Electrons in the orbitals that were left out."""
        return float(sum(self.occupations[self.n_kept :]))

    @property
    def correction(self) -> float:
        """E_MP2(all) - E_MP2(kept), Hartree: what to add for the orbitals that were left out."""
        return self.mp2_all - self.mp2_kept

    def kept_at(self, threshold: float) -> int:
        """Return how many virtual orbitals have at least this occupation."""
        return int(np.count_nonzero(np.asarray(self.occupations) >= threshold))

    def record(self, references: Mapping[str, float | None]) -> dict[str, Any]:
        """Return plain data for JSON.

        Args:
            references: Energies of the Hamiltonian itself, under the same keys as `self.references`: the
                differences are under "corrections".
        """
        corrections: dict[str, float | None] = {}
        for method in _CORRELATED:
            whole, part = self.references.get(method), references.get(method)
            corrections[method] = None if whole is None or part is None else whole - part
        corrections["mp2"] = self.correction
        return {
            "method": "fno",
            "density": self.density,
            "threshold": self.threshold,
            "most_virtuals": self.most,
            "n_virtual": self.n_virtual,
            "n_kept": self.n_kept,
            "n_dropped": self.n_dropped,
            "dropped_occupation": self.dropped_occupation,
            "correction": self.correction,
            "corrections": corrections,
            "references": {**self.references, "mp2": self.mp2_all},
            "reference_notes": dict(self.reference_notes),
        }

    def arguments(self) -> dict[str, Any]:
        """Return the fields as plain data from which the same object can be made."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "references": dict(self.references), "reference_notes": dict(self.reference_notes)}

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> "Truncation":
        """Make one from what `arguments` returned, after a journey through JSON."""
        known = {name: value for name, value in arguments.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "occupations": tuple(known["occupations"])})
