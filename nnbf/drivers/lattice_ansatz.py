"""The ansatz that lattice options describe."""

import math
from typing import TYPE_CHECKING

import numpy as np
from netket.utils import HashableArray

from hamiltonians.errors import InputError
from hamiltonians.lattice import LatticeModel
from hamiltonians.lattice_mean_field import mean_field
from nnbf.ansatz import (
    EquivariantBackflow,
    ProjectedBackflow,
    SymmetryElements,
    free_orbitals,
    given_orbitals,
)
from nnbf.ansatz.lattice_orbitals import LatticeOrbitals
from nnbf.ansatz.symmetric_fillings import independent_in_sector
from nnbf.drivers.lattice_options import LatticeMethod, LatticeOptions

if TYPE_CHECKING:
    from hamiltonians import Sector


#: Terms of a projection times the cube of the particles, up to which orbitals of the whole lattice are the
#: default of Monte Carlo: 36 determinants of 13 particles are within, 64 of 25 are not.
MOST_DETERMINANT_WORK = 200_000


def single_row(sector: "Sector") -> None:
    """Require that of an irrep of dimension above 1 a row is chosen.

    Raises:
        InputError: None is.
    """
    if sector.dimension > 1 and sector.row is None:
        raise InputError(f"sector {sector.label}: choose a row of the irrep, 0 to {sector.dimension - 1}")


def orbital_cell(
    model: LatticeModel, sector: "Sector", options: LatticeOptions, method: LatticeMethod
) -> tuple[int, int]:
    """Unit cell of the orbitals: the one asked for, or the default of the method."""
    if options.cell is not None:
        return options.cell[0], options.cell[1]
    n_terms = np.count_nonzero(sector.weights) * (options.n_determinants or 1)
    work = n_terms * sum(n**3 for n in model.particles)
    return model.size if method == "vmc" and work <= MOST_DETERMINANT_WORK else (1, 1)


def make_lattice_ansatz(
    model: LatticeModel,
    sector: "Sector",
    options: LatticeOptions | None = None,
    method: LatticeMethod = "full-sum",
) -> ProjectedBackflow:
    """Equivariant backflow on the free orbitals of a sector's momentum, projected on the sector.

    Args:
        model: The lattice model.
        sector: Its symmetry sector; with a row, where the irrep has more than one.
        options: Network and orbitals.
        method: Whose defaults apply.

    Raises:
        InputError: The momentum has fewer fillings (in the irrep) than ``n_determinants``.
    """
    options = LatticeOptions() if options is None else options
    settings = options.settings(method)
    symmetry = SymmetryElements.from_arrays(
        sector.permutations, sector.phases, sector.weights, sector.spin_flips
    )
    backflow = EquivariantBackflow(
        size=model.size,
        orbitals=_starting_orbitals(model, sector, symmetry, options, method),
        backflow=options.backflow,
        features=settings.features,
        depth=settings.depth,
        kernel=(options.kernel, options.kernel),
        periodic=model.periodic,
        distances=HashableArray(model.distance_shells) if options.jastrow else None,
        network_jastrow=options.network_jastrow,
        repulsion=(
            _starting_factor(model.V / abs(model.t or 1.0)),
            _starting_factor(model.U / abs(model.t or 1.0)),
        ),
        noise=options.noise,
    )
    return ProjectedBackflow(backflow, symmetry)


def _starting_orbitals(
    model: LatticeModel,
    sector: "Sector",
    symmetry: SymmetryElements,
    options: LatticeOptions,
    method: LatticeMethod,
) -> tuple[LatticeOrbitals, ...]:
    cell = orbital_cell(model, sector, options, method)
    if options.orbitals == "hartree-fock" and cell != model.size:
        whole = f"{model.size[0]},{model.size[1]}"
        raise InputError(f"Hartree-Fock orbitals are those of the whole lattice: give --cell {whole}")
    if options.orbitals != "hartree-fock":
        orbitals = free_orbitals(
            model,
            sector.momentum,
            cell=cell,
            n_determinants=options.n_determinants,
            symmetry=None if sector.irrep is None and sector.spin_flip is None else symmetry,
        )
        is_open = orbitals[0].n_determinants > 1 and options.n_determinants is None
        if options.orbitals == "free" or cell != model.size or not is_open:
            return orbitals
    rows = list(mean_field(model, options.seed).orbitals)
    if independent_in_sector([rows], symmetry, 1):
        return tuple(given_orbitals(of_spin) for of_spin in rows)
    if options.orbitals == "hartree-fock":
        raise InputError(
            f"the Hartree-Fock determinant has no part in sector {sector.label}: give --orbitals free"
        )
    return orbitals


def _starting_factor(repulsion: float) -> float:
    """Logarithm of a Gutzwiller factor near the best one, so that optimisation does not start far up."""
    return -0.5 * math.log1p(abs(repulsion) / 2.0) * (1.0 if repulsion > 0 else -1.0)
