"""Integrals as coefficients of normal-ordered operators over spin orbitals, and the way back.

H = E_0 + sum_pq T_pq a+_p a_q + sum_{p>q, r>s} G_pqrs a+_p a+_q a_r a_s over blocked spin orbitals
(all alpha, then all beta), with G_pqrs = (ps|qr) - (pr|qs). G is unique, (pq|rs) is not: the totally
symmetric part of same-spin repulsion cancels. Use it to exchange operators with other packages.
"""

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.integrals import MolecularIntegrals

_LARGEST = 80  # spin orbitals; G is stored in full, 0.3 GB at this size
_TOLERANCE = 1e-8  # Hartree; violation of a conservation law or symmetry that counts as rounding


def spin_orbital_tensors(integrals: MolecularIntegrals) -> tuple[np.ndarray, np.ndarray]:
    """Return T (2M, 2M) and the antisymmetric G (2M, 2M, 2M, 2M) over blocked spin orbitals.

    Raises:
        InputError: More than 40 orbitals.
    """
    size = integrals.n_orbitals
    if 2 * size > _LARGEST:
        raise InputError(
            f"{size} orbitals are too many for an operator of another package: "
            f"give at most {_LARGEST // 2}, by an active space"
        )
    source = integrals.spin_resolved()
    one_body = np.zeros((2 * size, 2 * size))
    one_body[:size, :size], one_body[size:, size:] = source.one_body
    aa, ab, bb = source.unpack_two_body()
    alpha, beta = slice(0, size), slice(size, 2 * size)
    repulsion = np.zeros((2 * size,) * 4)  # (ps|qr) at [p, q, r, s]
    repulsion[alpha, alpha, alpha, alpha] = aa.transpose(0, 2, 3, 1)
    repulsion[alpha, beta, beta, alpha] = ab.transpose(0, 2, 3, 1)
    repulsion[beta, alpha, alpha, beta] = ab.transpose(2, 0, 1, 3)
    repulsion[beta, beta, beta, beta] = bb.transpose(0, 2, 3, 1)
    return one_body, repulsion - repulsion.transpose(0, 1, 3, 2)


def integrals_of_tensors(
    constant: float, one_body: np.ndarray, antisymmetric: np.ndarray, n_alpha: int, n_beta: int
) -> MolecularIntegrals:
    """Return integrals of the operator that T and G describe.

    The result is restricted where alpha and beta integrals agree, else spin-resolved; same-spin
    repulsion is then given without its totally symmetric part, which acts on nothing.

    Args:
        constant: E_0.
        one_body: T, (2M, 2M), blocked.
        antisymmetric: G, (2M, 2M, 2M, 2M), blocked.
        n_alpha: Number of alpha electrons.
        n_beta: Number of beta electrons.

    Raises:
        InputError: The operator does not conserve the spin projection, is not Hermitian, or is no
            Hamiltonian of real orbitals.
    """
    size = one_body.shape[0] // 2
    alpha, beta = slice(0, size), slice(size, 2 * size)
    if np.abs(one_body[alpha, beta]).max(initial=0.0) > _TOLERANCE:
        raise InputError("the operator mixes alpha and beta: give one that conserves the spin projection")
    if np.abs(one_body - one_body.T).max(initial=0.0) > _TOLERANCE:
        raise InputError("the operator is not Hermitian: its one-body part is not symmetric")
    h = np.stack([one_body[alpha, alpha], one_body[beta, beta]])
    ab = antisymmetric[alpha, beta, beta, alpha].transpose(0, 3, 1, 2)
    restricted = np.abs(h[0] - h[1]).max(initial=0.0) <= _TOLERANCE
    same = []
    for spin in (alpha, beta):
        exchange_free = antisymmetric[spin, spin, spin, spin].transpose(0, 3, 1, 2)
        antisymmetrised_ab = ab - ab.transpose(0, 3, 2, 1)
        restricted &= np.abs(exchange_free - antisymmetrised_ab).max(initial=0.0) <= _TOLERANCE
        # With a = (ps|qr), b = (pr|qs), c = (pq|sr): G gives a - b and a - c, and their sum over
        # three is a less the totally symmetric (a + b + c) / 3.
        same.append((exchange_free + exchange_free.transpose(1, 0, 2, 3)) / 3.0)
    try:
        if restricted:
            result = MolecularIntegrals.from_full(constant, h[0], ab, n_alpha, n_beta)
        else:
            result = MolecularIntegrals.from_full(
                constant, h, np.stack([same[0], ab, same[1]]), n_alpha, n_beta
            )
    except InputError as error:
        if "two_body breaks" not in str(error):
            raise
        raise InputError(
            "the operator is no Hamiltonian of real orbitals: its repulsion lacks the symmetry "
            "(pq|rs) = (qp|rs)"
        ) from error
    rebuilt = spin_orbital_tensors(result)[1]
    if np.abs(rebuilt - antisymmetric).max(initial=0.0) > 10 * _TOLERANCE:
        raise InputError(
            "the operator is no Hamiltonian of real orbitals: part of its two-body part changes the "
            "spin projection or is not Hermitian"
        )
    return result
