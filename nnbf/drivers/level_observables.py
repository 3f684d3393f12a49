"""Observables of levels, of molecules and lattices: what the final state is like."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hamiltonians import InputError, Lattice, Molecule, irrep_bits, space_group
from nnbf.determinants import pack_occupations
from nnbf.drivers.level import Level
from nnbf.drivers.options import SolverOptions
from nnbf.evaluation import Samples
from nnbf.observables import Configurations, Observables, lattice_observables, molecular_observables
from nnbf.observables.density_matrices import require_two_body_room
from nnbf.observables.weighted_configurations import MOST_ENUMERATED
from nnbf.states import SpaceState
from nnbf.states.amplitudes import log_psi_function

#: Most samples that observables are averaged over: symmetry takes some ten amplitudes of each.
MOST_OBSERVED = 16_384
#: Amplitudes that observables of sampled molecules take at most, unless so few samples would say nothing.
MOST_AMPLITUDES, LEAST_OBSERVED = 2_000_000, 1024
#: Deviation of <S^2> from S (S + 1) above which a result carries a warning.
SPIN_TOLERANCE = 0.05


def level_configurations(model: Lattice, level: Level) -> Configurations:
    """Configurations with |psi|^2: all of them of a full sum, else the samples of the final energy.

    Raises:
        InputError: Too many, of a level that was not sampled.
    """
    if level.samples is None:
        state = level.state
        return Configurations.enumerated(model, log_psi_function(state.model, state.variables, model.n_sites))
    return Configurations.sampled(*level.samples.thinned(MOST_OBSERVED))


def level_observables(model: Lattice, level: Level) -> Observables | None:
    """Correlations, structure factors, symmetry and spin of a level.

    None for a full sum over more than `MOST_ENUMERATED` configurations.
    """
    if level.samples is None and model.n_configurations > MOST_ENUMERATED:
        return None
    configurations, state = level_configurations(model, level), level.state
    return _observables(model, level.sector.momentum, configurations, state.model, state.variables)


def draws_observables(
    model: Lattice, momentum: Any, ansatz: Any, variables: Any, draws: Samples
) -> Observables:
    """The same of a state from samples of any power of |psi|."""
    configurations = Configurations.sampled(*draws.thinned(MOST_OBSERVED))
    return _observables(model, momentum, configurations, ansatz, variables)


def _observables(model, momentum, configurations, ansatz, variables):
    return lattice_observables(
        model,
        configurations,
        log_psi_function(ansatz, variables, model.n_sites),
        group=space_group(model),
        momentum=momentum,
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


def sampled_observables(
    system: Molecule,
    state: SpaceState,
    configurations: Callable[[int], Configurations],
    *,
    rdm2: bool = False,
) -> Observables:
    """Observables of the whole state of a molecule, from samples.

    Args:
        system: What was solved.
        state: The optimised state.
        configurations: Takes the most samples that are wanted, and gives so many of them.
        rdm2: Two-particle density matrices, too.
    """

    def log_psi(occupations):
        sign, log_abs = state.signed_log(pack_occupations(occupations))
        return log_abs + math.pi * 1j * (sign < 0)

    # psi is needed on all single excitations of the distinct samples.
    size = system.integrals.n_orbitals
    singles = max(1, sum(n * (size - n) for n in system.particles))
    most = min(MOST_OBSERVED, max(LEAST_OBSERVED, MOST_AMPLITUDES // singles))
    return molecular_observables(
        system.integrals, configurations(most), system.properties, log_psi=log_psi, rdm2=rdm2
    )


def unfolded(draws: Samples, is_even: bool, most: int) -> Configurations:
    """Samples of a molecule's whole state, with their weights.

    Args:
        draws: The samples; of an even state one of each spin-flip pair.
        is_even: Whether psi is even under spin flip: then half of them, chosen at random, are flipped.
        most: Samples that are taken at most.
    """
    occupations, weights = draws.thinned(most)
    if is_even:
        turned = np.random.default_rng(0).random(occupations.shape[:2]) < 0.5
        half = occupations.shape[-1] // 2
        occupations = np.where(turned[..., None], np.roll(occupations, half, axis=-1), occupations)
    return Configurations.sampled(occupations, weights)


def spin_warnings(system: Molecule, options: SolverOptions, found: Observables) -> list[str]:
    """Warning where <S^2> is not that of the multiplicity that was asked for."""
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
