"""The job of a run: a problem, how, and which of its levels; the same for every command."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from hamiltonians.errors import InputError
from nnbf._options import Checked, Positive, Workers
from nnbf._text import typed
from nnbf.drivers.options import EXACT_LIMIT
from nnbf.runs.schema import LATTICE, MOLECULE

if TYPE_CHECKING:
    from hamiltonians import Lattice, Sector, SystemInfo
    from nnbf.drivers.monitor import Monitor
    from nnbf.runs.directory import RunDirectory


@dataclass(frozen=True)
class SectorChoice(Checked):
    """Which symmetry sectors."""

    momenta: str = ""
    """Momenta in units of 2 pi / L, such as "0,0 1,0"; G, X and M by name, "path" for all along G-X-M-G of
    the square lattice; left out: one of each star."""
    irreps: str = ""
    """Irreps of the little groups, such as "A1 B2", or "none": momenta alone; left out: all irreps."""
    spin: Literal["any", "even", "odd", "both"] = "any"
    """Parity under spin flip (hubbard with N_up = N_down): even or odd total spin, both, or not resolved."""
    levels: Annotated[int, Ge(1)] = 1
    """Levels of each sector, from the lowest."""

    def sectors(self, model: "Lattice") -> "list[Sector]":
        """Return the sectors that have states; of irreps of dimension above 1 the first row.

        Raises:
            InputError: No such momentum or irrep, or no sector is left.
        """
        none = self.irreps.strip().casefold() == "none"
        found = model.sectors(
            self.momenta.split(),
            None if none else self.irreps.split(),
            {"any": (None,), "both": (1, -1), "even": (1,), "odd": (-1,)}[self.spin],
        )
        if not found:
            raise InputError("the sectors asked for have no states at this filling")
        return list(found)


@dataclass(frozen=True)
class ChargeChoice(Checked):
    """Which particle is added and removed."""

    momenta: str = ""
    """Momenta k of the particle in units of 2 pi / L, such as "0,0 1,0", or G, X, M, path; left out: all."""
    electron: Literal["up", "down"] = "up"
    """Its spin (hubbard)."""
    levels: Annotated[int, Ge(1)] = 1
    """Levels of each sector that carries weight."""
    exact: bool = True
    """Diagonalise beside, where that is affordable."""

    @property
    def spin(self) -> int:
        """Spin of the particle: 0 up (and spinless), 1 down."""
        return {"up": 0, "down": 1}[self.electron]

    def particle_momenta(self, model: "Lattice") -> "list[tuple[int, int]]":
        """Return the momenta of the particle.

        Raises:
            InputError: No such momentum.
        """
        from hamiltonians import named_momenta, space_group
        from nnbf.observables.quasiparticle import one_particle
        from nnbf.observables.spectral_function import particle_momenta

        words = named_momenta(model, self.momenta.split())
        group = space_group(one_particle(model))
        return list(particle_momenta(model, [group.sector(word).momentum for word in words] or None))


@dataclass(frozen=True)
class OneSector:
    """One symmetry sector."""

    momentum: str = ""
    """Momentum in units of 2 pi / L, such as "0,0", or G, X, M; left out: that of the ground state where all
    sectors together have at most exact_limit states, else of the lowest filling of free particles."""
    irrep: str = ""
    """Irrep of its little group, such as B2; left out: not resolved, but measured of the result."""
    spin: Literal["any", "even", "odd"] = "any"
    """Parity under spin flip (hubbard with N_up = N_down): even or odd total spin."""

    def choice(self, model: "Lattice", exact_limit: int = EXACT_LIMIT) -> SectorChoice:
        """Return the choice of this sector.

        Args:
            model: The lattice.
            exact_limit: Most states, of all sectors, that are diagonalised to find that of the ground state.

        Raises:
            InputError: No such momentum or irrep.
        """
        from hamiltonians import named_momenta, space_group
        from nnbf.drivers.ground_sector import ground_momentum

        group = space_group(model)
        if self.momentum:
            words = named_momenta(model, self.momentum.split())
            if len(words) != 1:
                raise InputError(
                    f"momentum {self.momentum!r}: give one, such as 0,0; {typed('spectrum')} takes several"
                )
            momentum = group.sector(words[0]).momentum
        else:
            momentum = ground_momentum(model, exact_limit)  # with an open boundary (0, 0)
        if len(self.irrep.split()) > 1:
            raise InputError(f"irrep {self.irrep!r}: give one; {typed('spectrum')} takes several")
        return SectorChoice(
            momenta=f"{momentum[0]},{momentum[1]}", irreps=self.irrep or "none", spin=self.spin
        )


@dataclass(frozen=True)
class Limits(Checked):
    """Limit of a run."""

    time_limit: Positive | None = None
    """Stop after this many seconds; levels that are done are kept, and 'nnbf resume' goes on."""


@dataclass(frozen=True)
class LatticeLimits(Limits):
    """Limits of a run on a lattice."""

    exact_limit: Annotated[int, Ge(0)] = EXACT_LIMIT
    """Sectors up to this many states are diagonalised exactly, for comparison (and all of them, for that of
    the ground state, if together they have no more); 0: none."""


@dataclass(frozen=True)
class SpectrumLimits(LatticeLimits):
    """Limits of a spectrum."""

    workers: Workers = 1
    """Processes that solve sectors side by side, each with one thread (on the CPU)."""


_OF_LATTICE: dict[str, tuple[Any, Any]] = {
    "lattice": (SectorChoice, LatticeLimits),
    "spectrum": (SectorChoice, SpectrumLimits),
    "charge": (ChargeChoice, Limits),
}
"""Data classes of the choice of levels and of the limits, by command."""


@dataclass(frozen=True, eq=False)
class Job:
    """A problem, the options, and the levels that are wanted of it."""

    command: str
    """molecule, fcidump, solve, lattice, spectrum or charge."""
    problem: Any
    """The problem: a `Molecule`, a `Lattice`, or another registered problem."""
    options: Any
    """How: the options of the problem's kind."""
    method: str | None = None
    """Name of the method."""
    described: object | None = None
    """Data class that the problem was built from."""
    choice: Any = None
    """Which levels of a lattice: `SectorChoice` or `ChargeChoice`."""
    limits: Limits | None = None
    """Limits of a run on a lattice."""

    @property
    def is_lattice(self) -> bool:
        """True where the problem is a lattice."""
        return self.command in LATTICE

    @property
    def is_molecule(self) -> bool:
        """True where the problem is a molecule."""
        return self.command in MOLECULE

    @property
    def words(self) -> tuple[str, ...]:
        """Words that name a folder of the run."""
        if self.is_molecule:
            return folder_words(self.problem.info)
        if not self.is_lattice:
            return tuple(self.problem.title.split())
        model = self.problem
        return model.kind, "x".join(map(str, model.size)), "-".join(map(str, model.particles))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the problem, and about sectors that are lower than the one asked for."""
        if self.command == "lattice":
            from nnbf.drivers.ground_sector import sector_warnings

            limit = getattr(self.limits, "exact_limit", EXACT_LIMIT)
            return tuple(w for s in self.sectors for w in sector_warnings(self.problem, s, limit))
        return tuple(self.problem.info.warnings) if self.is_molecule else ()

    @cached_property
    def sectors(self) -> "tuple[Sector, ...]":
        """Sectors that are asked for; none of molecules, and of charge excitations, which find theirs."""
        return tuple(self.choice.sectors(self.problem)) if isinstance(self.choice, SectorChoice) else ()

    def n_levels(self, sector: "Sector") -> int:
        """Levels wanted of a sector: no more than it has states."""
        return min(self.choice.levels, sector.n_states)

    @property
    def n_wanted(self) -> int | None:
        """Levels wanted of all sectors; None where that turns out on the way."""
        if self.command == "charge":
            return None
        if not self.is_lattice:
            return getattr(self.options, "states", 1)
        return sum(self.n_levels(sector) for sector in self.sectors)

    def remaining(self, done: Iterable[Mapping[str, Any]]) -> "list[Sector]":
        """Sectors of which a level is missing among those that are done."""
        counts = Counter(level_key(level)[:-1] for level in done)
        return [s for s in self.sectors if counts[sector_key(s)] < self.n_levels(s)]

    def require(self) -> "Job":
        """Return this job if its options fit its problem and sectors.

        Raises:
            InputError: Something of it makes no sense, or a sector is too large to be summed.
        """
        if not self.is_lattice:
            return self
        self.options.require_model(self.problem)
        if self.command == "charge":
            self.choice.particle_momenta(self.problem)
        for sector in self.sectors:
            method = self.options.method_for(sector.n_states)
            if method == "vmc" and self.choice.levels > 1:
                raise InputError(
                    f"sector {sector.label} has {sector.n_states:,} states and is sampled: one level a "
                    "sector, give levels 1, an irrep, or a larger full_sum_limit"
                )
            self.options.require_sector(sector)
            if self.options.orbitals is not None or self.options.total_spin is not None:
                # Orbitals without a part in the sector are refused before anything is written.
                from nnbf.drivers.lattice_ansatz import make_lattice_ansatz

                make_lattice_ansatz(self.problem, sector, self.options, method)
        return self

    def compute(self, monitor: "Monitor", done: Iterable[Mapping[str, Any]], start: Any) -> dict[str, Any]:
        """Find the levels that are missing; the monitor is told of each.

        Args:
            monitor: Rows, stop requests, checkpoints, levels.
            done: Records of levels that are known.
            start: State that a molecule starts from.

        Returns:
            What the result has beyond its levels.
        """
        if self.limits is not None:
            monitor = monitor.within(self.limits.time_limit)
        if self.command == "charge":
            return self._charge(monitor)
        from nnbf.drivers import solve, spectrum

        if isinstance(self.limits, LatticeLimits):
            spectrum(
                self.problem,
                self.remaining(done),
                self.options,
                levels=self.choice.levels,
                exact_limit=self.limits.exact_limit,
                monitor=monitor,
                workers=getattr(self.limits, "workers", 1),
            )
        else:
            solve(self.problem, self.options, method=self.method, monitor=monitor, start=start)
        return {}

    def _charge(self, monitor: "Monitor") -> dict[str, Any]:
        from nnbf.drivers.charge_levels import charge_excitations
        from nnbf.observables.spectral_function import exact_charge_excitations

        momenta, spin = self.choice.particle_momenta(self.problem), self.choice.spin
        found = charge_excitations(
            self.problem, self.options, momenta=momenta, spin=spin, levels=self.choice.levels, monitor=monitor
        )
        exact = None
        if self.choice.exact:
            with contextlib.suppress(InputError):  # too large
                exact = exact_charge_excitations(self.problem, momenta=momenta, spin=spin).record()
        return {**found.record(), "exact": exact}


def folder_words(info: "SystemInfo") -> tuple[str, ...]:
    """Return the words that name a folder of a molecule's run."""
    return info.name or info.formula or "run", info.basis or ""


def sector_key(sector: "Sector", particles: Iterable[int] | None = None) -> tuple:
    """Return what tells a sector from others; rows of an irrep have the same levels."""
    return (
        None if particles is None else tuple(particles),
        tuple(sector.momentum),
        sector.irrep,
        sector.spin_flip,
    )


def level_key(level: Mapping[str, Any]) -> tuple:
    """Return the same of a level's record, with its number."""
    sector, particles = level["sector"], level.get("particles")
    momentum = None if sector["momentum"] is None else tuple(sector["momentum"])
    return (
        None if particles is None else tuple(particles),
        momentum,
        sector["irrep"],
        sector["spin_flip"],
        level["level"],
    )


def read_job(directory: "RunDirectory", config: Mapping[str, Any], **changes: Any) -> Job:
    """Return the job of a run folder.

    Args:
        directory: The folder.
        config: Its configuration (format 2).
        changes: New values of options and limits.

    Raises:
        InputError: The folder's files are damaged or missing, or of another version of the program.
    """
    from nnbf.drivers.methods import make_options, method_named

    command = config["command"]
    problem = directory.read_problem(config)
    options = make_options(problem.format, config["options"])
    if command not in _OF_LATTICE:
        method_named(problem, config["method"])
        return Job(command, problem, replace(options, **changes), config["method"])
    choice, limits = _OF_LATTICE[command]
    try:
        choice, limits = choice(**(config["sectors"] or {})), limits(**(config["limits"] or {}))
    except TypeError as error:
        raise InputError(f"{directory.config_file} cannot be resumed ({error}): start anew") from error
    limits = replace(limits, **changes)
    return Job(command, problem, options, config["method"], choice=choice, limits=limits)
