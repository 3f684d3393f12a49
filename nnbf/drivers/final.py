"""Spin target and observables of a run: what it aims at, and what its final state is like."""

import numpy as np

from hamiltonians import InputError, Molecule, irrep_bits
from nnbf.drivers.options import SolverOptions
from nnbf.observables import Configurations, Observables, molecular_observables
from nnbf.observables.density_matrices import require_two_body_room
from nnbf.states import SpaceState, SpinPenalty

#: Deviation of <S^2> from S (S + 1) above which a result carries a warning.
SPIN_TOLERANCE = 0.05


def make_penalties(system: Molecule, options: SolverOptions) -> tuple[SpinPenalty, ...]:
    """The penalties that ``options`` describe: a spin penalty, or none.

    Raises:
        InputError: S^2 is not known in the orbitals of the system, or leads out of them.
    """
    if not options.spin_penalty:
        return ()
    if not system.integrals.is_spin_resolved:
        return (SpinPenalty(options.spin_penalty),)
    overlap = None if system.properties is None else system.properties.overlap_alpha_beta
    if overlap is None:
        raise InputError(
            "spin_penalty needs the overlap of alpha and beta orbitals, which this file lacks: "
            "build the molecule again, or give spin_penalty 0"
        )
    if len(overlap) == system.integrals.n_orbitals:
        try:
            return (SpinPenalty(options.spin_penalty, np.asarray(overlap)),)
        except ValueError:
            pass
    raise InputError(
        "spin_penalty with UHF orbitals needs all of them, no frozen core or active space: "
        "give reference rohf, or spin_penalty 0"
    )


def check_observables(system: Molecule, options: SolverOptions) -> None:
    """Require that what is asked for can be computed.

    Raises:
        InputError: There are too many orbitals for two-particle density matrices.
    """
    if options.rdm2:
        try:
            require_two_body_room(system.integrals.n_orbitals)
        except ValueError as error:
            raise InputError(f"rdm2: {error}; leave it out") from error


def final_observables(
    system: Molecule,
    options: SolverOptions,
    state: SpaceState,
    kind: str,
    sector: np.ndarray | None = None,
    sector_psi: np.ndarray | None = None,
) -> Observables:
    """Observables of the state behind the headline energy.

    Args:
        system: What was solved.
        options: How.
        state: The optimised state.
        kind: ``full_sum`` for psi on the whole sector, ``variational`` for psi on V.
        sector: Determinants of the sector, for full_sum.
        sector_psi: psi there.
    """
    determinants, psi = state.determinants, None
    if kind == "full_sum" and sector is not None:
        determinants, psi = sector, sector_psi
    configurations = Configurations.expansion(
        determinants,
        state.wave_function() if psi is None else psi,
        system.integrals.n_orbitals,
        spin_flip=state.spin_flip,
        # H never leaves the irrep of the reference determinant, so neither does V.
        irreps=irrep_bits(system.integrals),
        kind=kind,
    )
    return molecular_observables(system.integrals, configurations, system.properties, rdm2=options.rdm2)


def spin_warnings(system: Molecule, options: SolverOptions, found: Observables) -> list[str]:
    """Say so where <S^2> is not that of the multiplicity that was asked for."""
    if found.s_squared is None:
        return []
    spin = 0.5 * abs(system.integrals.two_S)
    value, wanted = float(found.s_squared.value), spin * (spin + 1.0)
    if abs(value - wanted) <= SPIN_TOLERANCE:
        return []
    remedy = "a larger spin_penalty" if options.spin_penalty else "spin_penalty 0.1"
    target = f"2S = {abs(system.integrals.two_S)}"
    return [
        f"<S^2> is {value:.3f} and not {wanted:.2f}: this is no state of {target}; "
        f"try {remedy}, or another spin"
    ]
