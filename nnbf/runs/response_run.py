"""The response of the trained state of a run folder: read, computed, and written beside it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians import InputError, Lattice, Molecule, irrep_bits, lattice_configurations
from hamiltonians.errors import reason_of
from hamiltonians.lattice.lattice_spec import named_momenta
from nnbf._io import given_path, plain, write_bytes, write_json
from nnbf._text import typed
from nnbf.response.named_operators import channels
from nnbf.response.response_options import ResponseOptions
from nnbf.response.response_record import Response, response_of
from nnbf.response.spectra import Channel, KnownState, Spectrum
from nnbf.runs.directory import RunDirectory
from nnbf.runs.process import versions
from nnbf.runs.schema import is_lattice, is_molecule
from nnbf.runs.trained import TrainedState, load_trained

if TYPE_CHECKING:
    from nnbf.states import SpaceState

Note = Callable[[str], None]

#: Configurations up to which a state is listed.
MOST_LISTED = 500_000
#: The third moment of a response that is sampled comes from every so many samples.
THIRD_MOMENT = 8


@dataclass(frozen=True, eq=False)
class RunResponse:
    """A response, and its files."""

    directory: RunDirectory
    """The run."""
    response: Response
    """What was computed."""
    record: dict[str, Any]
    """The content of the JSON file."""
    file: Path
    """JSON file; tables of the same name lie beside it."""


def respond(
    folder: str | Path,
    options: ResponseOptions | None = None,
    *,
    out: str | Path | None = None,
    note: Note = lambda what: None,
) -> RunResponse:
    """Compute the response of the trained state of a run, and write it.

    Args:
        folder: A run folder of a molecule or a lattice with a trained state.
        options: Operator, space, curves.
        out: Folder of the files; by default response/ in the run folder.
        note: Told what is being done.

    Raises:
        InputError: There is no trained state, the operator or a momentum is not one of the problem's, the
            operator vanishes on the state, the state cannot be listed, or files cannot be written.
        FloatingPointError: Amplitudes are not finite.
    """
    options = ResponseOptions() if options is None else options
    directory = RunDirectory.open(folder)
    config = directory.read_config()
    if config["command"] == "charge" or not (is_molecule(config) or is_lattice(config)):
        raise InputError(
            f"{directory.path}: {typed('response')} takes runs of molecules, {typed('lattice')} and "
            f"{typed('spectrum')}"
        )
    problem = directory.read_problem(config)
    operator = options.operator
    if operator == "auto":
        operator = "density" if isinstance(problem, Lattice) else "dipole"
    found = channels(problem, operator, _momenta(problem, options.momenta))
    note("reading the state")
    if options.state and isinstance(problem, Molecule):
        raise InputError("state is for lattices: leave it out")
    trained = load_trained(directory, options.state)
    if isinstance(problem, Lattice) and problem.n_configurations > MOST_LISTED:
        response = _sampled(trained, problem, operator, found, options, note)
    else:
        state = known_state(trained)
        response = response_of(problem, state, operator, found, options, note=note)
    content = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "run": str(directory.path),
        "system": config.get("system"),
        "level": trained.name or None,
        "options": asdict(options),
        **response.record(),
        "warnings": [*trained.notes, *response.warnings],
        "versions": versions(),
    }
    record = plain(content)
    place = directory.path / "response" if out is None else given_path(out)
    file = place / f"{operator}.json"
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_json(file, record)
        for name, table in response.tables().items():
            write_bytes(place / f"{operator}_{name}.csv", table.csv())
    except OSError as error:
        raise InputError(f"{place} cannot be written: {reason_of(error)}") from error
    return RunResponse(directory, response, record, file)


def _sampled(
    trained: TrainedState,
    model: Lattice,
    operator: str,
    found: Sequence[Channel],
    options: ResponseOptions,
    note: Note,
) -> Response:
    """Poles of the first moments, from samples."""
    from nnbf.evaluation import EvaluationOptions, OperatorSource
    from nnbf.operators import LatticeHamiltonian
    from nnbf.response.sampled_moments import sampled_moments
    from nnbf.states.amplitudes import log_psi_function

    if operator not in ("density", "spin"):
        raise InputError(
            f"{model.n_configurations:.2g} configurations are too many for a list of amplitudes (at most "
            f"{MOST_LISTED:,}): of samples there are density and spin"
        )
    note("thermalising the chains")
    sampling = EvaluationOptions(seed=options.seed)
    source = OperatorSource(
        model, trained.network, trained.variables, sampling, sweep_size=trained.options.sweep_size
    )
    draws = source.draw(options.samples)
    occupations, weights = draws.thinned(options.samples)
    # The third moment takes some twenty times as many amplitudes as the others together.
    every = min(THIRD_MOMENT, max(1, occupations.shape[1] // 4))
    note("moments from samples")
    hamiltonian = LatticeHamiltonian(model)
    fields = [channel.operators[0].values for channel in found]
    log_psi = log_psi_function(trained.network, trained.variables, model.n_sites)
    estimates = sampled_moments(hamiltonian, log_psi, occupations, weights, fields, every)
    energy = source.reference + float(np.mean(draws.weights * draws.energy))
    rows = hamiltonian.pack(occupations.reshape(-1, model.n_modes))
    state = KnownState(hamiltonian, rows, np.zeros(0), energy, "network, sampled")
    spectra = tuple(
        Spectrum.sampled(estimate, occupations.shape[0] * occupations.shape[1]) for estimate in estimates
    )
    warning = (
        f"{model.n_configurations:.2g} configurations cannot be listed: two poles with the first four "
        "moments of the response stand for all of it"
    )
    return Response(model, operator, options, tuple(found), (state,), (spectra,), (warning,))


def known_state(trained: TrainedState) -> KnownState:
    """The amplitudes of a trained state: on V of a molecule, else on all configurations.

    Raises:
        InputError: There are too many to be listed.
        FloatingPointError: Amplitudes are not finite.
    """
    problem = trained.problem
    if isinstance(problem, Lattice):
        return _of_lattice(trained, problem)
    state = trained.state
    if trained.determinants is not None:
        rows, psi = state.determinants, state.wave_function()
    else:
        rows, psi = _on_sector(trained, state)
    rows, psi = _unfolded(state, rows, psi)
    complete = len(rows) == _sector_size(problem)
    return KnownState.of(state.hamiltonian, rows, psi, "network", complete=complete)


def _of_lattice(trained, model) -> KnownState:
    from nnbf.operators import LatticeHamiltonian
    from nnbf.states.amplitudes import log_psi_function

    if model.n_configurations > MOST_LISTED:
        raise InputError(
            f"{model.n_configurations:.2g} configurations are too many for a list of amplitudes: give a "
            f"run of at most {MOST_LISTED:,}"
        )
    hamiltonian = LatticeHamiltonian(model)
    occupations = lattice_configurations(model)
    logs = log_psi_function(trained.network, trained.variables, model.n_sites)(occupations)
    logs = np.asarray(logs, complex)
    psi = np.exp(logs - np.max(logs.real))
    return KnownState.of(hamiltonian, hamiltonian.pack(occupations), psi, "network", complete=True)


def _on_sector(trained, state: "SpaceState") -> tuple[np.ndarray, np.ndarray]:
    """A sampled state of a molecule on its whole symmetry sector."""
    from nnbf.states import sector_amplitudes, symmetry_sector

    sector = symmetry_sector(state, irrep_bits(trained.problem.integrals), MOST_LISTED)
    if sector is None:
        raise InputError(
            "the symmetry sector of this sampled state is too large for a list of amplitudes: give a run of "
            "method selected"
        )
    return sector, sector_amplitudes(state, sector)


def _unfolded(state: "SpaceState", rows, psi) -> tuple[np.ndarray, np.ndarray]:
    """All determinants that the entries of a list stand for."""
    from nnbf.determinants import multiplicities, spin_flip

    if not state.spin_flip:
        return rows, psi
    paired = multiplicities(rows, True) == 2
    return np.concatenate([rows, spin_flip(rows[paired])]), np.concatenate([psi, psi[paired]])


def _sector_size(molecule: Molecule) -> int:
    """Determinants in the irrep of the reference."""
    from nnbf.determinants import determinant_from_orbitals, determinant_irreps
    from nnbf.determinants.configurations import strings_by_irrep

    integrals = molecule.integrals
    bits, m = irrep_bits(integrals), integrals.n_orbitals
    reference = determinant_from_orbitals(*integrals.reference_occupation, m)
    code = int(determinant_irreps(reference, bits)[0])
    alpha, beta = (strings_by_irrep(bits, n) for n in (integrals.n_alpha, integrals.n_beta))
    return sum(count * beta.get(own ^ code, 0) for own, count in alpha.items())


def _momenta(problem: Any, words: str) -> Sequence[Any] | None:
    from hamiltonians import space_group
    from nnbf.observables.quasiparticle import one_particle

    if not words.strip():
        return None
    if isinstance(problem, Molecule):
        raise InputError("momenta are for lattices: leave them out")
    group = space_group(one_particle(problem))
    return [group.sector(word).momentum for word in named_momenta(problem, words.split())]
