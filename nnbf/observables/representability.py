r"""What density matrices of N electrons must fulfil: traces, symmetry, Pauli bounds, P, Q and G.

With b any of the operators below, the matrices :math:`\langle b_I b_J^\dagger \rangle` are positive
(Garrod, Percus, J. Math. Phys. 5, 1756 (1964)): P for pairs of creators, Q for pairs of annihilators,
G for :math:`a^\dagger_p a_q` less its mean.
"""

from typing import TYPE_CHECKING

import numpy as np

from nnbf.observables.density_matrices import TwoBodyDensity
from nnbf.observables.observable_registry import observable

if TYPE_CHECKING:
    from nnbf.observables.molecular_measurement import MolecularMeasurement


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
