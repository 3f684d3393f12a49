"""To and from OpenFermion: MolecularData, InteractionOperator and FermionOperator.

OpenFermion numbers spin orbitals alternately (2 p for alpha, 2 p + 1 for beta), this package in two
blocks; `interleaved_positions` is the only place where one becomes the other.
"""

from pathlib import Path
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, one_line
from hamiltonians.formats.second_quantised import integrals_of_tensors, spin_orbital_tensors
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.molecule.system import Molecule


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
    """Convert an `InteractionOperator` (interleaved spins).

    Args:
        operator: openfermion.InteractionOperator.
        n_alpha: Number of alpha electrons.
        n_beta: Number of beta electrons.

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
    """Convert a `FermionOperator` (interleaved spins) of one- and two-body terms.

    Args:
        operator: openfermion.FermionOperator.
        n_alpha: Number of alpha electrons.
        n_beta: Number of beta electrons.
        n_orbitals: M; by default as many as the operator mentions.

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

    one_body, antisymmetric = spin_orbital_tensors(integrals)
    position = interleaved_positions(integrals.n_orbitals).tolist()
    result = FermionOperator((), integrals.constant)
    for p, q in np.argwhere(one_body).tolist():
        result.terms[(position[p], 1), (position[q], 0)] = float(one_body[p, q])
    for p, q, r, s in np.argwhere(antisymmetric).tolist():
        creators, annihilators = (position[p], position[q]), (position[r], position[s])
        if creators[0] > creators[1] and annihilators[0] > annihilators[1]:
            term = tuple((k, 1) for k in creators) + tuple((k, 0) for k in annihilators)
            result.terms[term] = float(antisymmetric[p, q, r, s])
    return result


def to_molecular_data(system: Molecule | MolecularIntegrals, filename: str | Path | None = None) -> Any:
    """Return an openfermion.MolecularData object, written to `filename` (.hdf5) where that is given.

    Args:
        system: A system (its geometry and references go along) or bare integrals.
        filename: Where to save.

    Raises:
        InputError: Spin-resolved integrals, which the format cannot hold, or the file cannot be
            written.
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
    order = interleaved_positions(one_body.shape[0] // 2)
    return integrals_of_tensors(
        float(constant),
        one_body[np.ix_(order, order)],
        antisymmetric[np.ix_(order, order, order, order)],
        n_alpha,
        n_beta,
    )


def _real(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if np.iscomplexobj(array):
        if np.abs(array.imag).max(initial=0.0) > 1e-10:
            raise InputError("the operator has complex coefficients: only real ones are supported")
        array = array.real
    return array.astype(float)
