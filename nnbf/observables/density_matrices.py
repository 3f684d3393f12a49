r"""One- and two-particle reduced density matrices, and the energy that follows from them.

.. math::
    \gamma^\sigma_{pq} = \langle a^\dagger_{p\sigma} a_{q\sigma} \rangle, \quad
    \Gamma^{\sigma\tau}_{pq,rs} =
    \langle a^\dagger_{p\sigma} a^\dagger_{r\tau} a_{s\tau} a_{q\sigma} \rangle, \quad
    E = E_0 + \sum h^\sigma_{pq} \gamma^\sigma_{pq}
    + \tfrac12 \sum (pq|rs)^{\sigma\tau} \Gamma^{\sigma\tau}_{pq,rs}

(Loewdin, Phys. Rev. 97, 1474 (1955), with the normalisation of Helgaker, Jorgensen, Olsen, Molecular
Electronic-Structure Theory, section 1.7; the index order is that of PySCF.)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnbf.estimate import Estimate
from nnbf.observables.observable_registry import Observables, observable

if TYPE_CHECKING:
    from nnbf.observables.molecular_measurement import MolecularMeasurement

#: Orbitals up to which two-particle density matrices are made: three blocks of M^4 / 4 to M^4 doubles.
MOST_TWO_BODY_ORBITALS = 40


@dataclass(frozen=True, eq=False)
class TwoBodyDensity:
    """Two-particle density matrices of a state, by spin, as matrices between pairs."""

    same: np.ndarray
    """(2, P, P): ``<a+_p a+_r a_s a_q>`` for alpha-alpha and beta-beta, rows p < r, columns q < s, with
    index ``r (r - 1) / 2 + p``; P = M (M - 1) / 2."""
    mixed: np.ndarray
    """(M^2, M^2): the same for (p, q) alpha and (r, s) beta, rows ``p M + r``, columns ``q M + s``."""

    @property
    def n_orbitals(self) -> int:
        """M."""
        return round(len(self.mixed) ** 0.5)

    def tensors(self) -> np.ndarray:
        """Gamma as (3, M, M, M, M) for [aa, ab, bb], index order (p, q, r, s) of the module."""
        m = self.n_orbitals
        mixed = self.mixed.reshape(m, m, m, m).transpose(0, 2, 1, 3)
        return np.stack([_unpacked(self.same[0], m), mixed, _unpacked(self.same[1], m)])

    def spin_summed(self) -> np.ndarray:
        """Gamma summed over both spins, (M, M, M, M): PySCF's ``make_rdm12``."""
        m = self.n_orbitals
        mixed = self.mixed.reshape(m, m, m, m).transpose(0, 2, 1, 3)
        total = _unpacked(self.same[0] + self.same[1], m)
        total += mixed
        total += mixed.transpose(2, 3, 0, 1)
        return total


@observable("one_body", on=("molecule",), recorded=False)
def one_body(measured: "MolecularMeasurement") -> np.ndarray:
    """One-particle density matrices (2, M, M) of alpha and beta electrons, symmetric."""
    return measured.one_body


@observable("one_body_error", on=("molecule",), recorded=False)
def one_body_error(measured: "MolecularMeasurement") -> np.ndarray | None:
    """Standard errors (2, M, M) of them; None for exact sums."""
    state = measured.configurations
    return None if state.is_exact else state.error(measured.one_body_parts)


@observable("two_body", on=("molecule",), recorded=False)
def two_body(measured: "MolecularMeasurement") -> TwoBodyDensity | None:
    """Two-particle density matrices, where asked for."""
    return None if measured.two_body is None else measured.two_body[0]


@observable("energy_from_densities", unit="Hartree", on=("molecule",), label="energy from density matrices")
def energy_from_two_body(measured: "MolecularMeasurement") -> Estimate | None:
    """Energy from the density matrices, where there are those of two particles."""
    return None if measured.two_body is None else measured.two_body[1]


def density_arrays(found: Observables) -> dict[str, np.ndarray]:
    """The density matrices among observables under names, for a file; index order and norm are PySCF's.

    Returns:
        ``one_body`` (2, M, M) for alpha and beta, and where known ``two_body`` (3, M, M, M, M) for
        [aa, ab, bb]; for one set of orbitals also ``one_body_spin_summed`` and
        ``two_body_spin_summed``.
    """
    arrays = {"one_body": found["one_body"]}
    if found["one_body_error"] is not None:
        arrays["one_body_error"] = found["one_body_error"]
    if found["two_body"] is not None:
        arrays["two_body"] = found["two_body"].tensors()
    if found["natural"].kind == "restricted":
        arrays["one_body_spin_summed"] = found["one_body"].sum(axis=0)
        if found["two_body"] is not None:
            arrays["two_body_spin_summed"] = found["two_body"].spin_summed()
    return arrays


def require_two_body_room(n_orbitals: int) -> None:
    """Require that two-particle density matrices of this many orbitals fit.

    Raises:
        ValueError: They do not.
    """
    if n_orbitals > MOST_TWO_BODY_ORBITALS:
        raise ValueError(
            f"two-particle density matrices of {n_orbitals} orbitals do not fit: "
            f"at most {MOST_TWO_BODY_ORBITALS}"
        )


def energy_from_densities(integrals, one_body: np.ndarray, two_body: TwoBodyDensity) -> float:
    """Energy in Hartree of the state behind the density matrices.

    Args:
        integrals: ``hamiltonians.MolecularIntegrals`` over the same orbitals.
        one_body: (2, M, M).
        two_body: Two-particle density matrices.
    """
    h = np.broadcast_to(integrals.one_body, (2, *integrals.one_body.shape[-2:]))
    energy = float(integrals.constant + np.sum(h * one_body))
    if integrals.is_spin_resolved:
        aa, ab, bb = integrals.two_body
    else:
        aa = ab = bb = integrals.two_body
    m = two_body.n_orbitals
    rows, columns = np.tril_indices(m)
    # Sums over p q of a symmetric pair matrix: off-diagonal pairs count twice.
    factor = np.where(rows == columns, 0.5, 1.0)
    mixed = two_body.mixed.reshape(m, m, m, m).transpose(0, 2, 1, 3)
    blocks = (
        (0.5, aa, _unpacked(two_body.same[0], m)),
        (1.0, ab, mixed),
        (0.5, bb, _unpacked(two_body.same[1], m)),
    )
    for share, integral, gamma in blocks:
        half = gamma[rows, columns] + gamma[columns, rows]
        packed = half[:, rows, columns] + half[:, columns, rows]
        energy += share * float(np.einsum("x,xy,xy,y->", factor, packed, integral, factor, optimize=True))
    return energy


def _unpacked(pairs: np.ndarray, m: int) -> np.ndarray:
    """Expand the matrix over ordered pairs of one spin to Gamma_pq,rs."""
    upper, lower = np.triu_indices(m, 1)
    order = np.lexsort((upper, lower))
    p, r = upper[order], lower[order]
    full = np.zeros((m, m, m, m))
    # In the order (p, r, q, s) of creators and annihilators; each exchange changes the sign.
    full[p[:, None], r[:, None], p, r] = pairs
    full[r[:, None], p[:, None], p, r] = -pairs
    full[p[:, None], r[:, None], r, p] = -pairs
    full[r[:, None], p[:, None], r, p] = pairs
    return full.transpose(0, 2, 1, 3)
