"""Observables of one state with their kinds and errors, and as plain data."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hamiltonians import DEBYE
from nnbf.observables.composition import WeightedDeterminant
from nnbf.observables.density import TwoBodyDensity
from nnbf.observables.natural import NaturalOrbitals


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value with its statistical error, which is 0 for exact sums."""

    value: Any
    """A number or an array."""
    error: Any = 0.0
    """Of the same shape, or 0."""


@dataclass(frozen=True, eq=False)
class Observables:
    """What is known of a state besides its energy; in atomic units."""

    kind: str
    """full_sum (psi on its whole symmetry sector), variational (psi on V), or vmc (from samples)."""
    n_determinants: int
    """Determinants summed over (spin-flip pairs count once), or distinct ones among the samples."""
    s_z: Estimate
    """Spin projection."""
    s_squared: Estimate | None
    """<S^2>; None where alpha and beta orbitals differ by an unknown overlap."""
    dipole: Estimate | None
    """Dipole moment (3,), e a_0, with nuclei and frozen electrons; None where unknown."""
    one_body: np.ndarray
    """(2, M, M): <a+_p a_q> of alpha and beta electrons, symmetric."""
    one_body_error: np.ndarray | None
    """(2, M, M); None for exact sums."""
    natural: NaturalOrbitals
    """Natural orbitals."""
    natural_occupations: Estimate | None
    """Occupations of the natural orbitals of both spins together, falling; see `NaturalOrbitals`."""
    inverse_participation_ratio: Estimate
    """Sum of psi^4: 1 for a single determinant."""
    largest_determinants: tuple[WeightedDeterminant, ...]
    """By falling weight."""
    checks: dict[str, float] = field(default_factory=dict)
    """How well density matrices fulfil what they must; see `nnbf.observables.representability`."""
    two_body: TwoBodyDensity | None = None
    """Two-particle density matrices, where asked for."""
    energy_from_densities: Estimate | None = None
    """Energy in Hartree from the density matrices, where there are those of two particles."""
    n_samples: int | None = None
    """Samples; None for exact sums."""

    @property
    def spin_summed(self) -> np.ndarray:
        """One-particle density matrix of both spins, (M, M); only for one set of orbitals."""
        return self.one_body.sum(axis=0)

    def record(self) -> dict[str, Any]:
        """Everything but the density matrices as plain numbers, lists and dictionaries (for JSON)."""
        dipole, debye = self.dipole, None
        if dipole is not None:
            debye = Estimate(DEBYE * np.asarray(dipole.value), DEBYE * np.asarray(dipole.error))
        found: dict[str, Any] = {
            "kind": self.kind,
            "n_determinants": self.n_determinants,
            "n_samples": self.n_samples,
        }
        for name, estimate in (
            ("s_squared", self.s_squared),
            ("s_z", self.s_z),
            ("dipole_au", dipole),
            ("dipole_debye", debye),
            ("natural_occupations", self.natural_occupations),
            ("inverse_participation_ratio", self.inverse_participation_ratio),
            ("energy_from_densities", self.energy_from_densities),
        ):
            found[name] = None if estimate is None else self._plain(estimate)
        for name in ("dipole_au", "dipole_debye"):
            if found[name] is not None:
                found[name] |= _norm(found[name])
        found["largest_determinants"] = [
            {**asdict(one), "kind": self.kind} for one in self.largest_determinants
        ]
        found["checks"] = dict(self.checks)
        return found

    def _plain(self, estimate: Estimate) -> dict[str, Any]:
        value = np.asarray(estimate.value, dtype=float)
        error = np.broadcast_to(np.asarray(estimate.error, dtype=float), value.shape)
        return {"value": value.tolist(), "error": error.tolist(), "kind": self.kind}

    def density_arrays(self) -> dict[str, np.ndarray]:
        """The density matrices under names, for a file; index order and norm are PySCF's.

        Returns:
            ``one_body`` (2, M, M) for alpha and beta, and where known ``two_body`` (3, M, M, M, M) for
            [aa, ab, bb]; for one set of orbitals also ``one_body_spin_summed`` and
            ``two_body_spin_summed``.
        """
        arrays = {"one_body": self.one_body}
        if self.one_body_error is not None:
            arrays["one_body_error"] = self.one_body_error
        if self.two_body is not None:
            arrays["two_body"] = self.two_body.tensors()
        if self.natural.kind == "restricted":
            arrays["one_body_spin_summed"] = self.spin_summed
            if self.two_body is not None:
                arrays["two_body_spin_summed"] = self.two_body.spin_summed()
        return arrays


def _norm(plain: dict[str, Any]) -> dict[str, float]:
    value, error = np.array(plain["value"]), np.array(plain["error"])
    size = float(np.linalg.norm(value))
    return {
        "norm": size,
        "norm_error": float(np.linalg.norm(value * error) / size) if size else float(np.linalg.norm(error)),
    }
