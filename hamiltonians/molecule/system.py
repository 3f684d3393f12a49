"""A molecular system ready to be solved: integrals, what they describe, and reference energies."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.irreps import irrep_name
from hamiltonians.molecule.geometry import Atoms
from hamiltonians.molecule.properties import OrbitalProperties
from hamiltonians.packing import nonzero_pairs, number_of_pairs, pairs_of_nonzero
from hamiltonians.problem import PlainSector, register_problem, save_problem

REFERENCE_METHODS = ("hf", "mp2", "ccsd", "ccsd_t", "fci")
"""Keys of `Molecule.references`."""

_PROPERTIES = ("dipole", "dipole_constant", "dipole_origin", "overlap_alpha_beta", "coefficients")


@dataclass(frozen=True)
class SystemInfo:
    """Description of integrals, for reports and for building them again."""

    formula: str = ""
    """Formula in Hill's order; empty where unknown."""
    name: str = ""
    """Bundled name, file stem or formula."""
    basis: str = ""
    """Basis set; empty where unknown."""
    charge: int = 0
    """Total charge."""
    two_S: int = 0
    """Number of unpaired electrons, 2S."""
    reference_method: str = ""
    """Mean field behind the orbitals: "RHF", "ROHF", "UHF", "fcidump" or "openfermion"."""
    orbitals: str = ""
    """Kind of orbitals: "canonical", "mp2-natural", "canonical, mp2 frozen natural", "boys", "avas", ... """
    n_frozen_core: int = 0
    """Number of doubly occupied orbitals folded into the constant and one-body part."""
    active_space: tuple[int, int] | None = None
    """(electrons, orbitals) where this is less than the whole molecule, else None."""
    atoms: Atoms = ()
    """(symbol, (x, y, z)) of every atom, in Angstrom."""
    point_group: str = ""
    """Full point group of the nuclei (such as "Dooh"); empty where unknown."""
    ecp: tuple[tuple[str, str], ...] = ()
    """(element, effective core potential) of the elements that have one."""
    scf_converged: bool = True
    """True where the mean field converged."""
    source: str = ""
    """Source of the integrals: the molecule as given, or a file name."""
    warnings: tuple[str, ...] = ()
    """Warnings, one line each."""


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
        for method in REFERENCE_METHODS[1:]:
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

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> "Truncation":
        """Return the truncation of `dataclasses.asdict`, after a journey through JSON."""
        known = {name: value for name, value in arguments.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "occupations": tuple(known["occupations"])})


@register_problem("molecular-system")
@dataclass(frozen=True, eq=False)
class Molecule:
    """Integrals with their description and the reference energies computed from them."""

    kind: ClassVar[str] = "molecule"
    """Family of Hamiltonians."""
    format: ClassVar[str]
    """Tag in files."""
    unit: ClassVar[str] = "Hartree"
    """Unit of energies."""

    integrals: MolecularIntegrals
    """The Hamiltonian."""
    info: SystemInfo = field(default_factory=SystemInfo)
    """Description of the integrals."""
    references: Mapping[str, float | None] = field(default_factory=dict)
    """Energies in Hartree under "hf", "mp2", "ccsd", "ccsd_t", "fci"; None where not computed."""
    reference_notes: Mapping[str, str] = field(default_factory=dict)
    """Notes on references by method: reasons why they are missing, or what exactly they are."""
    properties: OrbitalProperties | None = None
    """Dipole integrals and overlaps of the orbitals; None where unknown, as for FCIDUMP files."""
    truncation: Truncation | None = None
    """Virtual natural orbitals that were left out, and the correction for them; None where none were."""

    def __post_init__(self) -> None:
        """Complete the references, freeze the mappings, check the properties."""
        if self.properties is not None:
            self.properties.check(self.integrals.n_orbitals, self.integrals.is_spin_resolved)
        unknown = set(self.references) - set(REFERENCE_METHODS)
        if unknown:
            raise InputError(
                f"reference {sorted(unknown)[0]!r} is unknown: give {', '.join(REFERENCE_METHODS)}"
            )
        energies = {key: self.references.get(key) for key in REFERENCE_METHODS}
        object.__setattr__(self, "references", MappingProxyType(energies))
        notes = {str(key): str(text) for key, text in self.reference_notes.items()}
        object.__setattr__(self, "reference_notes", MappingProxyType(notes))

    @property
    def title(self) -> str:
        """Formula and basis, as far as they are known."""
        return " / ".join(part for part in (self.info.formula or self.info.name, self.info.basis) if part)

    @property
    def n_modes(self) -> int:
        """Spin orbitals, all alpha, then all beta."""
        return 2 * self.integrals.n_orbitals

    @property
    def particles(self) -> tuple[int, int]:
        """(n_alpha, n_beta)."""
        return self.integrals.n_alpha, self.integrals.n_beta

    def sectors(self) -> tuple[PlainSector, ...]:
        """Return the sector of the reference determinant: its irrep, where irreps are known."""
        integrals = self.integrals
        if integrals.orbital_irreps is None:
            return (PlainSector(),)
        return (PlainSector(irrep_name(integrals.reference_irrep, integrals.point_group)),)

    def save(self, path: str | Path) -> Path:
        """Write the system to an .npz or .h5 file, atomically; `load_problem` reads it.

        Raises:
            InputError: The suffix is neither .npz nor .h5, or the folder cannot be written.
        """
        return save_problem(self, path)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return header and arrays; of (pq|rs) only what is unique and not zero."""
        integrals = self.integrals
        header = {
            "n_alpha": integrals.n_alpha,
            "n_beta": integrals.n_beta,
            "orbital_irreps": integrals.orbital_irreps,
            "point_group": integrals.point_group,
            "reference_occupation": integrals.reference_occupation,
            "info": asdict(self.info),
            "references": dict(self.references),
            "reference_notes": dict(self.reference_notes),
            "truncation": None if self.truncation is None else asdict(self.truncation),
        }
        arrays = {"constant": np.array(integrals.constant), "one_body": integrals.one_body}
        resolved = integrals.is_spin_resolved
        for name, block in zip(_blocks(resolved), integrals.two_body if resolved else [integrals.two_body]):
            for part, array in nonzero_pairs(block, symmetric=name != "ab").items():
                arrays[f"two_body_{name}_{part}"] = array
        for name in _PROPERTIES:
            value = getattr(self.properties, name, None)
            if value is not None:
                arrays[name] = value
        return header, arrays

    @classmethod
    def from_arrays(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Molecule":
        """Return the system of `to_arrays`, of earlier versions too."""
        one_body = arrays["one_body"]
        resolved, pairs = one_body.ndim == 3, number_of_pairs(one_body.shape[-1])
        blocks = [
            pairs_of_nonzero(
                arrays[f"two_body_{name}_mask"],
                arrays[f"two_body_{name}_values"],
                pairs,
                symmetric=name != "ab",
            )
            for name in _blocks(resolved)
        ]
        two_body = np.stack(blocks) if resolved else blocks[0]
        two_body.flags.writeable = False
        irreps = header["orbital_irreps"]
        alpha, beta = header["reference_occupation"]
        integrals = MolecularIntegrals(
            constant=float(arrays["constant"]),
            one_body=one_body,
            two_body=two_body,
            n_alpha=header["n_alpha"],
            n_beta=header["n_beta"],
            orbital_irreps=None if irreps is None else tuple(irreps),
            point_group=header["point_group"],
            reference_occupation=(tuple(alpha), tuple(beta)),
        )
        # Files of earlier versions have none of these.
        known = {name: arrays[name] for name in _PROPERTIES if name in arrays}
        truncation = header.get("truncation")
        return cls(
            integrals,
            _info(header["info"]),
            header["references"],
            header["reference_notes"],
            OrbitalProperties(**known) if known else None,
            None if truncation is None else Truncation.from_arguments(truncation),
        )


def _blocks(is_spin_resolved: bool) -> tuple[str, ...]:
    return ("aa", "ab", "bb") if is_spin_resolved else ("restricted",)


def _info(fields: dict) -> SystemInfo:
    known = {name: value for name, value in fields.items() if name in SystemInfo.__dataclass_fields__}
    known["atoms"] = tuple((symbol, tuple(position)) for symbol, position in known["atoms"])
    known["ecp"] = tuple((element, name) for element, name in known["ecp"])
    known["warnings"] = tuple(known["warnings"])
    if known["active_space"] is not None:
        known["active_space"] = tuple(known["active_space"])
    return SystemInfo(**known)
