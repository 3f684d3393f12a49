"""<S^2> and double occupancy of Hubbard states."""

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from nnbf.observables.lattice_samples import LogPsi, WeightedConfigurations
from nnbf.observables.result import Estimate
from nnbf.operators.spin_exchange import doubly_occupied, s_squared_diagonal, spin_exchanges


def lattice_s_squared(model: Lattice, configurations: WeightedConfigurations, log_psi: LogPsi) -> Estimate:
    """<S^2> of a state: S (S + 1) for total spin S.

    Raises:
        InputError: The model is spinless.
        FloatingPointError: log psi is not finite.
    """
    _require_spin(model)
    up, down = model.particles
    most = max(1, min(up, model.n_sites - down) * min(down, model.n_sites - up))

    def images_of(occupations):
        return spin_exchanges(occupations, model.n_sites)

    exchanges = configurations.off_diagonal(log_psi, images_of, most)
    diagonal = s_squared_diagonal(configurations.occupations, model.n_sites)
    return configurations.average(diagonal + exchanges.real)


def double_occupancy(model: Lattice, configurations: WeightedConfigurations) -> Estimate:
    """Share of doubly occupied sites, (1 / N_s) sum_i <n_up n_down>.

    Raises:
        InputError: The model is spinless.
    """
    _require_spin(model)
    return configurations.average(doubly_occupied(configurations.occupations, model.n_sites).mean(axis=1))


def _require_spin(model: Lattice) -> None:
    if not model.is_spinful:
        raise InputError("spin of a spinless model: give a Hubbard model")
