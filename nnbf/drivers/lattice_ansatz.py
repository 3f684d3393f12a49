"""The ansatz that lattice options describe."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from netket.utils import HashableArray

from hamiltonians.errors import InputError
from hamiltonians.lattice.hartree_fock import mean_field
from hamiltonians.lattice.model import Lattice
from nnbf.ansatz import (
    EquivariantBackflow,
    ProjectedBackflow,
    ProjectedNetwork,
    SymmetryElements,
    free_orbitals,
    given_orbitals,
    named_network,
    staggered_orbitals,
)
from nnbf.ansatz.orbitals import LatticeOrbitals
from nnbf.ansatz.symmetric_fillings import independent_in_sector
from nnbf.drivers.options import LatticeMethod, LatticeOptions
from nnbf.sampling import ordered_configuration

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
    model: Lattice, sector: "Sector", options: LatticeOptions, method: LatticeMethod
) -> tuple[int, int]:
    """Unit cell of the orbitals: the one asked for, or the default of the method."""
    if options.cell is not None:
        return options.cell[0], options.cell[1]
    n_terms = np.count_nonzero(sector.weights) * (options.n_determinants or 1)
    work = n_terms * sum(n**3 for n in model.particles)
    return model.size if method == "vmc" and work <= MOST_DETERMINANT_WORK else (1, 1)


def make_lattice_ansatz(
    model: Lattice,
    sector: "Sector",
    options: LatticeOptions | None = None,
    method: LatticeMethod = "full-sum",
) -> ProjectedBackflow | ProjectedNetwork:
    """Equivariant backflow on the free orbitals of a sector's momentum, projected on the sector.

    Args:
        model: The lattice model.
        sector: Its symmetry sector; with a row, where the irrep has more than one.
        options: Network and orbitals.
        method: Whose defaults apply.

    Raises:
        InputError: The momentum has fewer fillings (in the irrep) than ``n_determinants``, or the orbitals
            asked for have no part in the sector.
    """
    options = LatticeOptions() if options is None else options
    options.require_model(model)
    options.require_sector(sector)
    settings = options.settings(method)
    symmetry = SymmetryElements.from_arrays(
        sector.permutations, sector.phases, sector.weights, sector.spin_flips
    )
    if options.network is not None:
        return ProjectedNetwork(_named(model, options), symmetry)
    orbitals, total_spin = _start(model, sector, symmetry, options, method)
    backflow = EquivariantBackflow(
        size=model.size,
        orbitals=orbitals,
        total_spin=total_spin,
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


def _named(model: Lattice, options: LatticeOptions) -> Any:
    """The registered network that is asked for, with what it wants to know of the lattice."""
    assert options.network is not None
    filled = np.flatnonzero(ordered_configuration(model))
    known = {
        "n_modes": model.n_modes,
        "n_sites": model.n_sites,
        "particles": model.particles,
        "occupied": tuple(map(int, filled)),
        "is_real": not np.iscomplexobj(model.hopping),
    }
    return named_network(options.network, options.network_options, known)


def _start(
    model: Lattice,
    sector: "Sector",
    symmetry: SymmetryElements,
    options: LatticeOptions,
    method: LatticeMethod,
) -> tuple[tuple[LatticeOrbitals, ...], float | None]:
    """Orbitals, and the total spin that they are projected on."""
    silent = options.orbitals is None and options.cell is None and options.n_determinants is None
    if options.orbitals == "antiferromagnet" or (silent and method == "vmc" and model.must_be_singlet):
        found = _antiferromagnet(model, symmetry, options)
        if found is not None:
            return found
        if options.orbitals == "antiferromagnet":
            raise InputError(f"the antiferromagnet has no part in sector {sector.label}: give orbitals free")
    return _starting_orbitals(model, sector, symmetry, options, method), options.total_spin


def _antiferromagnet(model, symmetry, options):
    """Staggered orbitals and the lowest total spin (or that asked for) with a part in the sector, or None."""
    orbitals = staggered_orbitals(model)
    if orbitals is None:
        return None
    least, largest = model.total_spins
    spins = np.arange(least, largest + 1) if options.total_spin is None else [options.total_spin]
    rows = [o.initial_rows[0] for o in orbitals]
    for spin in spins:
        if independent_in_sector([rows], symmetry, 1, float(spin)):
            return orbitals, float(spin)
    return None


def _starting_orbitals(
    model: Lattice,
    sector: "Sector",
    symmetry: SymmetryElements,
    options: LatticeOptions,
    method: LatticeMethod,
) -> tuple[LatticeOrbitals, ...]:
    cell = orbital_cell(model, sector, options, method)
    if options.orbitals == "hartree-fock" and cell != model.size:
        whole = f"{model.size[0]},{model.size[1]}"
        raise InputError(f"Hartree-Fock orbitals are those of the whole lattice: give cell {whole}")
    if options.orbitals != "hartree-fock":
        labels = (sector.irrep, sector.spin_flip, options.total_spin)
        resolved = any(label is not None for label in labels)
        orbitals = free_orbitals(
            model,
            sector.momentum,
            cell=cell,
            n_determinants=options.n_determinants,
            symmetry=symmetry if resolved else None,
            total_spin=options.total_spin,
        )
        is_open = orbitals[0].n_determinants > 1 and options.n_determinants is None
        if options.orbitals == "free" or cell != model.size or not is_open:
            return orbitals
    rows = list(mean_field(model, options.seed).orbitals)
    if independent_in_sector([rows], symmetry, 1, options.total_spin):
        return tuple(given_orbitals(of_spin) for of_spin in rows)
    if options.orbitals == "hartree-fock":
        raise InputError(
            f"the Hartree-Fock determinant has no part in sector {sector.label}: give orbitals free"
        )
    return orbitals


def _starting_factor(repulsion: float) -> float:
    """Logarithm of a Gutzwiller factor near the best one, so that optimisation does not start far up."""
    return -0.5 * math.log1p(abs(repulsion) / 2.0) * (1.0 if repulsion > 0 else -1.0)
