"""Integrals as operators of other packages: NetKet and OpenFermion, whose operators are read, too.

H = E_0 + sum_pq T_pq a+_p a_q + sum_{p>q, r>s} G_pqrs a+_p a+_q a_r a_s over blocked spin orbitals
(all alpha, then all beta), with G_pqrs = (ps|qr) - (pr|qs). G is unique, (pq|rs) is not: the totally
symmetric part of same-spin repulsion cancels.

NetKet takes blocked modes: **alpha fills the first block**, so `n_fermions_per_spin = (n_alpha, n_beta)`.
Its own `sz=-1` is block 0 and `sz=+1` is block 1; for a molecule that label is of no consequence, but
address modes by their index and not by `sz`. OpenFermion numbers spin orbitals alternately (2 p for alpha,
2 p + 1 for beta); `interleaved_positions` is the only place where one becomes the other.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, one_line
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.molecule.system import Molecule

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


def to_netket(integrals: MolecularIntegrals, *, cutoff: float = 1e-12) -> tuple[Any, Any]:
    """Return (hilbert, operator) for NetKet.

    Meant for small systems and for comparison: NetKet's operator neither screens nor removes
    duplicates among connected configurations.

    Args:
        integrals: The Hamiltonian, of at most 40 orbitals.
        cutoff: Coefficients of smaller magnitude are dropped, in Hartree.

    Returns:
        `nk.hilbert.SpinOrbitalFermions` of 2M modes (alpha first) and a
        `ParticleNumberAndSpinConservingFermioperator2nd` on it.

    Raises:
        InputError: More than 40 orbitals.
    """
    import netket as nk
    from netket.experimental import operator as experimental  # noqa: TID251 - this package cannot use nnbf's

    size = integrals.n_orbitals
    hilbert = nk.hilbert.SpinOrbitalFermions(
        size, s=1 / 2, n_fermions_per_spin=(integrals.n_alpha, integrals.n_beta)
    )
    terms = list(_terms(integrals, range(2 * size), cutoff))
    general = nk.operator.FermionOperator2nd(
        hilbert,
        [term for term, _ in terms],
        [weight for _, weight in terms],
        constant=integrals.constant,
    )
    return hilbert, experimental.ParticleNumberAndSpinConservingFermioperator2nd.from_fermionoperator2nd(
        general
    )


def interleaved_positions(n_orbitals: int) -> np.ndarray:
    """Return OpenFermion's index of every blocked spin orbital (all alpha, then all beta), (2M,)."""
    return np.concatenate([2 * np.arange(n_orbitals), 2 * np.arange(n_orbitals) + 1])


def from_molecular_data(data: Any) -> MolecularIntegrals:
    """Read the integrals of a `MolecularData` object or of its .hdf5 file.

    Raises:
        InputError: No such file, or it holds no integrals.
    """
    if isinstance(data, (str, Path)):
        data = _load(Path(data))
    one_body = getattr(data, "one_body_integrals", None)
    two_body = getattr(data, "two_body_integrals", None)
    if one_body is None or two_body is None or data.nuclear_repulsion is None:
        raise InputError("the MolecularData holds no integrals: run a mean field (run_pyscf) and save it")
    two_s = int(data.multiplicity) - 1
    electrons = int(data.n_electrons)
    # OpenFermion stores (ps|qr) at [p, q, r, s].
    return MolecularIntegrals.from_full(
        float(data.nuclear_repulsion),
        one_body,
        np.asarray(two_body).transpose(0, 3, 1, 2),
        (electrons + two_s) // 2,
        (electrons - two_s) // 2,
    )


def from_interaction_operator(operator: Any, n_alpha: int, n_beta: int) -> MolecularIntegrals:
    """Convert an `openfermion.InteractionOperator` (interleaved spins).

    Raises:
        InputError: Not such an operator, complex, or no Hamiltonian of real orbitals.
    """
    from openfermion import InteractionOperator

    if not isinstance(operator, InteractionOperator):
        raise InputError(f"give an openfermion.InteractionOperator, not {type(operator).__name__}")
    one_body = _real(operator.one_body_tensor)
    two_body = _real(operator.two_body_tensor)
    if one_body.shape[0] % 2:
        raise InputError(f"{one_body.shape[0]} spin orbitals: give an even number, alpha and beta in turn")
    antisymmetric = two_body - two_body.transpose(1, 0, 2, 3)
    antisymmetric = antisymmetric - antisymmetric.transpose(0, 1, 3, 2)
    return _from_interleaved(float(_real(operator.constant)), one_body, antisymmetric, n_alpha, n_beta)


def from_fermion_operator(
    operator: Any, n_alpha: int, n_beta: int, n_orbitals: int | None = None
) -> MolecularIntegrals:
    """Convert an `openfermion.FermionOperator` (interleaved spins) of one- and two-body terms.

    By default there are as many orbitals as the operator mentions.

    Raises:
        InputError: Terms that change the number of particles or their spin, of more than two bodies,
            not Hermitian, or complex.
    """
    from openfermion import FermionOperator, count_qubits, normal_ordered

    if not isinstance(operator, FermionOperator):
        raise InputError(f"give an openfermion.FermionOperator, not {type(operator).__name__}")
    mentioned = (count_qubits(operator) + 1) // 2
    size = max(1, mentioned) if n_orbitals is None else int(n_orbitals)
    if size < mentioned:
        raise InputError(f"the operator acts on {mentioned} orbitals, not {size}: give n_orbitals larger")
    constant = 0.0
    one_body = np.zeros((2 * size,) * 2)
    antisymmetric = np.zeros((2 * size,) * 4)
    for term, coefficient in normal_ordered(operator).terms.items():
        value = float(_real(coefficient))
        actions = tuple(action for _, action in term)
        sites = tuple(site for site, _ in term)
        if actions == ():
            constant = value
        elif actions == (1, 0):
            one_body[sites] = value
        elif actions == (1, 1, 0, 0):
            p, q, r, s = sites
            antisymmetric[p, q, r, s] = antisymmetric[q, p, s, r] = value
            antisymmetric[q, p, r, s] = antisymmetric[p, q, s, r] = -value
        elif abs(value) > 1e-10:
            raise InputError(
                f"the operator has a term with actions {actions}: give one- and two-body terms that "
                "conserve the number of particles"
            )
    return _from_interleaved(constant, one_body, antisymmetric, n_alpha, n_beta)


def to_interaction_operator(integrals: MolecularIntegrals) -> Any:
    """Return an openfermion.InteractionOperator (interleaved spins).

    Raises:
        InputError: More than 40 orbitals.
    """
    from openfermion import InteractionOperator

    one_body, antisymmetric = spin_orbital_tensors(integrals)
    order = np.argsort(interleaved_positions(integrals.n_orbitals))
    return InteractionOperator(
        integrals.constant,
        one_body[np.ix_(order, order)],
        0.25 * antisymmetric[np.ix_(order, order, order, order)],
    )


def to_fermion_operator(integrals: MolecularIntegrals) -> Any:
    """Return an openfermion.FermionOperator (interleaved spins), normal ordered.

    Raises:
        InputError: More than 40 orbitals.
    """
    from openfermion import FermionOperator

    result = FermionOperator((), integrals.constant)
    result.terms |= dict(_terms(integrals, interleaved_positions(integrals.n_orbitals).tolist()))
    return result


def to_molecular_data(system: Molecule | MolecularIntegrals, filename: str | Path | None = None) -> Any:
    """Return an openfermion.MolecularData object, written to `filename` (.hdf5) where that is given.

    Geometry and references go along where they are known.

    Raises:
        InputError: Spin-resolved integrals, which the format cannot hold, or the file cannot be written.
    """
    from openfermion import MolecularData

    whole = system if isinstance(system, Molecule) else Molecule(system)
    integrals, info = whole.integrals, whole.info
    if integrals.is_spin_resolved:
        raise InputError("MolecularData holds restricted integrals only: give RHF or ROHF orbitals")
    atoms = list(info.atoms)
    name = None if filename is None else str(Path(filename))
    data = MolecularData(
        geometry=atoms or [("H", (0.0, 0.0, 0.0))],
        basis=info.basis or "unknown",
        multiplicity=abs(integrals.two_S) + 1,
        charge=info.charge,
        description="nnbf",
        filename=name or "",
    )
    data.n_electrons = integrals.n_electrons
    data.n_orbitals = integrals.n_orbitals
    data.n_qubits = 2 * integrals.n_orbitals
    data.nuclear_repulsion = integrals.constant
    data.one_body_integrals = np.array(integrals.one_body)
    data.two_body_integrals = np.ascontiguousarray(integrals.unpack_two_body().transpose(0, 2, 3, 1))
    for method in ("hf", "mp2", "ccsd", "fci"):
        setattr(data, f"{method}_energy", whole.references[method])
    if name is not None:
        try:
            data.save()
        except OSError as error:
            raise InputError(f"cannot write {name}: {one_line(error)}") from error
    return data


def _terms(
    integrals: MolecularIntegrals, modes: Sequence[int], cutoff: float = 0.0
) -> Iterator[tuple[tuple[tuple[int, int], ...], float]]:
    """Yield ((mode, 1 creates or 0 annihilates), ...) in falling order, and the coefficient.

    Args:
        integrals: The Hamiltonian.
        modes: Number of every blocked spin orbital in the other package.
        cutoff: Coefficients of this magnitude are left out.
    """
    one_body, antisymmetric = spin_orbital_tensors(integrals)
    for p, q in np.argwhere(np.abs(one_body) > cutoff).tolist():
        yield ((modes[p], 1), (modes[q], 0)), float(one_body[p, q])
    for orbitals in np.argwhere(np.abs(antisymmetric) > cutoff).tolist():
        p, q, r, s = (modes[orbital] for orbital in orbitals)
        if p > q and r > s:
            yield ((p, 1), (q, 1), (r, 0), (s, 0)), float(antisymmetric[tuple(orbitals)])


def _load(path: Path) -> Any:
    from openfermion import MolecularData

    # OpenFermion appends .hdf5 by itself.
    stem = path.with_suffix("") if path.suffix == ".hdf5" else path
    if not stem.with_name(stem.name + ".hdf5").is_file():
        raise InputError(f"there is no MolecularData file {path}: give an .hdf5 file")
    try:
        return MolecularData(filename=str(stem))
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a MolecularData file ({one_line(error)[:100]})") from error


def _from_interleaved(
    constant: float, one_body: np.ndarray, antisymmetric: np.ndarray, n_alpha: int, n_beta: int
) -> MolecularIntegrals:
    """Return integrals of the operator that T and G describe, with spins interleaved.

    The result is restricted where alpha and beta integrals agree, else spin-resolved; same-spin
    repulsion is then given without its totally symmetric part, which acts on nothing.
    """
    size = one_body.shape[0] // 2
    order = interleaved_positions(size)
    one_body = one_body[np.ix_(order, order)]
    antisymmetric = antisymmetric[np.ix_(order, order, order, order)]
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
    one, two = (h[0], ab) if restricted else (h, np.stack([same[0], ab, same[1]]))
    try:
        result = MolecularIntegrals.from_full(constant, one, two, n_alpha, n_beta)
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


def _real(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if np.iscomplexobj(array):
        if np.abs(array.imag).max(initial=0.0) > 1e-10:
            raise InputError("the operator has complex coefficients: only real ones are supported")
        array = array.real
    return array.astype(float)
