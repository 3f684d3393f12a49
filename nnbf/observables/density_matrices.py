r"""One- and two-particle reduced density matrices: energy, dipole moment, and what they must fulfil.

.. math::
    \gamma^\sigma_{pq} = \langle a^\dagger_{p\sigma} a_{q\sigma} \rangle, \quad
    \Gamma^{\sigma\tau}_{pq,rs} =
    \langle a^\dagger_{p\sigma} a^\dagger_{r\tau} a_{s\tau} a_{q\sigma} \rangle, \quad
    E = E_0 + \sum h^\sigma_{pq} \gamma^\sigma_{pq}
    + \tfrac12 \sum (pq|rs)^{\sigma\tau} \Gamma^{\sigma\tau}_{pq,rs}

(Loewdin, Phys. Rev. 97, 1474 (1955), with the normalisation of Helgaker, Jorgensen, Olsen, Molecular
Electronic-Structure Theory, section 1.7; the index order is that of PySCF.)

With b any of the operators below, the matrices :math:`\langle b_I b_J^\dagger \rangle` are positive
(Garrod, Percus, J. Math. Phys. 5, 1756 (1964)): P for pairs of creators, Q for pairs of annihilators,
G for :math:`a^\dagger_p a_q` less its mean.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians import DEBYE, OrbitalProperties
from nnbf.estimate import Estimate
from nnbf.observables.observable_registry import Observables, observable

if TYPE_CHECKING:
    from nnbf.observables.measurements import MolecularMeasurement

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


class DipoleMoment(Estimate):
    """A dipole moment (3,) with its errors."""

    def record(self) -> dict[str, Any]:
        """Plain numbers, its norm among them."""
        value, error = np.asarray(self.value), np.asarray(self.error)
        size = float(np.linalg.norm(value))
        of_size = float(np.linalg.norm(value * error) / size) if size else float(np.linalg.norm(error))
        return {
            "value": value.tolist(),
            "error": error.tolist(),
            "kind": self.kind,
            "norm": size,
            "norm_error": of_size,
        }


@observable("dipole_au", unit="e a0", on=("molecule",), label="dipole moment (x, y, z)")
def dipole_au(measured: "MolecularMeasurement") -> DipoleMoment | None:
    """Dipole moment (3,), e a_0, with nuclei and frozen electrons; None where unknown."""
    parts = dipole_moment(measured.properties, measured.one_body_parts)
    if parts is None:
        return None
    found = measured.configurations.estimate(parts)
    return DipoleMoment(found.value, found.error)


@observable("dipole_debye", unit="debye", on=("molecule",), label="dipole moment (x, y, z)")
def dipole_debye(measured: "MolecularMeasurement") -> DipoleMoment | None:
    """Dipole moment (3,) in debye."""
    found = dipole_au(measured)
    return None if found is None else DipoleMoment(DEBYE * found.value, DEBYE * found.error)


def dipole_moment(properties: OrbitalProperties | None, one_body: np.ndarray) -> np.ndarray | None:
    """Dipole moment in atomic units (e a_0), nuclei and frozen electrons included.

    Args:
        properties: Dipole integrals and the constant part. The moment of an ion is that about their
            origin, the centre of nuclear charge.
        one_body: (..., 2, M, M) alpha and beta density matrices.

    Returns:
        (..., 3), or None where the integrals are not known.
    """
    if properties is None or properties.dipole is None or properties.dipole_constant is None:
        return None
    integrals = np.broadcast_to(properties.dipole, (2, *properties.dipole.shape[-3:]))
    return properties.dipole_constant + np.einsum("sxpq,...spq->...x", integrals, one_body)


@observable("checks", on=("molecule",))
def checks(measured: "MolecularMeasurement") -> dict[str, float]:
    """Deviations of the density matrices from what they must fulfil."""
    state, integrals = measured.configurations, measured.integrals
    electrons = integrals.n_alpha, integrals.n_beta
    # The triangles of samples differ by noise, those of exact sums by errors.
    raw = measured.one_body_raw[0] if state.is_exact else measured.one_body
    found = one_body_checks(raw, *electrons)
    if measured.two_body is not None:
        found |= two_body_checks(measured.two_body[0], measured.one_body, *electrons)
    return found


def one_body_checks(one_body: np.ndarray, n_alpha: int, n_beta: int) -> dict[str, float]:
    """Deviations of 1-RDMs (2, M, M) from what they must fulfil.

    Returns:
        ``trace_error`` (largest deviation of a trace from the number of electrons), ``asymmetry``
        (largest difference to the transpose), ``smallest_occupation`` and ``largest_occupation`` of a
        natural spin orbital, which lie in [0, 1].
    """
    traces = np.trace(one_body, axis1=1, axis2=2)
    occupations = np.linalg.eigvalsh(0.5 * (one_body + one_body.transpose(0, 2, 1)))
    return {
        "trace_error": float(np.abs(traces - [n_alpha, n_beta]).max()),
        "asymmetry": float(np.abs(one_body - one_body.transpose(0, 2, 1)).max(initial=0.0)),
        "smallest_occupation": float(occupations.min(initial=1.0)),
        "largest_occupation": float(occupations.max(initial=0.0)),
    }


def two_body_checks(
    two_body: TwoBodyDensity, one_body: np.ndarray, n_alpha: int, n_beta: int
) -> dict[str, float]:
    """Deviations of 2-RDMs from what they must fulfil, given the 1-RDMs of the same state.

    Returns:
        ``rdm2_trace_error``, ``contraction_error`` (largest deviation of partial traces from the 1-RDMs),
        and the smallest eigenvalues ``smallest_p``, ``smallest_q``, ``smallest_g``, not below 0.
    """
    traces = [np.trace(block) for block in (*two_body.same, two_body.mixed)]
    pairs = [n_alpha * (n_alpha - 1) / 2, n_beta * (n_beta - 1) / 2, n_alpha * n_beta]
    same_a, mixed, same_b = two_body.tensors()
    contractions = (
        (same_a, "pqrr->pq", (n_alpha - 1) * one_body[0]),
        (same_b, "pqrr->pq", (n_beta - 1) * one_body[1]),
        (mixed, "pqrr->pq", n_beta * one_body[0]),
        (mixed, "rrpq->pq", n_alpha * one_body[1]),
    )
    deviations = [
        float(np.abs(np.einsum(indices, gamma) - expected).max(initial=0.0))
        for gamma, indices, expected in contractions
    ]
    return {
        "rdm2_trace_error": float(np.abs(np.subtract(traces, pairs)).max()),
        "contraction_error": max(deviations),
        "smallest_p": min(_smallest(block) for block in (*two_body.same, two_body.mixed)),
        "smallest_q": min(_smallest(block) for block in hole_matrices(two_body, one_body)),
        "smallest_g": min(_smallest(block) for block in particle_hole_matrices(two_body, one_body)),
    }


def hole_matrices(two_body: TwoBodyDensity, one_body: np.ndarray) -> tuple[np.ndarray, ...]:
    """Q of both spins (P, P) each, over pairs p < r, and of alpha with beta (M^2, M^2)."""
    m = two_body.n_orbitals
    unit = np.eye(m)
    tensors = two_body.tensors()
    # <a_p a_r a+_s a+_q> in the index order (p, q, r, s); holes have the density 1 - gamma.
    result = []
    rows, columns = np.triu_indices(m, 1)
    for gamma, pairs in zip(one_body, (tensors[0], tensors[2]), strict=True):
        whole = (
            np.einsum("pq,rs->pqrs", unit, unit)
            - np.einsum("ps,rq->pqrs", unit, unit)
            - np.einsum("rs,pq->pqrs", unit, gamma)
            - np.einsum("pq,rs->pqrs", unit, gamma)
            + np.einsum("ps,rq->pqrs", unit, gamma)
            + np.einsum("rq,ps->pqrs", unit, gamma)
            + pairs
        )
        result.append(whole[rows[:, None], rows, columns[:, None], columns])
    mixed = (
        np.einsum("pq,rs->pqrs", unit, unit)
        - np.einsum("rs,pq->pqrs", unit, one_body[0])
        - np.einsum("pq,rs->pqrs", unit, one_body[1])
        + tensors[1]
    )
    result.append(mixed.transpose(0, 2, 1, 3).reshape(m * m, m * m))
    return tuple(result)


def particle_hole_matrices(two_body: TwoBodyDensity, one_body: np.ndarray) -> tuple[np.ndarray, ...]:
    """G of a+_p a_q: both spins together (2 M^2, 2 M^2), and the spin-changing ones (M^2, M^2)."""
    m = two_body.n_orbitals
    aa, ab, bb = two_body.tensors()
    unit = np.eye(m)
    square = (m * m, m * m)

    def conserving(sigma, tau, pairs):
        # <a+_p a_q a+_s a_r> - <a+_p a_q> <a+_r a_s>, rows (p, q), columns (r, s)
        block = pairs.transpose(0, 1, 3, 2) - np.einsum("pq,rs->pqrs", one_body[sigma], one_body[tau])
        if sigma == tau:
            block = block + np.einsum("qs,pr->pqrs", unit, one_body[sigma])
        return block.reshape(square)

    corner = conserving(0, 1, ab)
    both = np.block([[conserving(0, 0, aa), corner], [corner.T, conserving(1, 1, bb)]])
    changing = [
        (np.einsum("qs,pr->pqrs", unit, gamma) - pairs.transpose(0, 3, 1, 2)).reshape(square)
        for gamma, pairs in ((one_body[0], ab), (one_body[1], ab.transpose(2, 3, 0, 1)))
    ]
    return both, *changing


def _smallest(matrix: np.ndarray) -> float:
    if not len(matrix):
        return 0.0
    return float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0])


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
