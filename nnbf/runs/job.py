"""What a run computes: a problem, how, and which of its levels; the same for every command."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from hamiltonians.errors import InputError
from nnbf._options import Checked, Positive, Workers
from nnbf.runs.schema import LATTICE, MOLECULE
from nnbf.runs.sector_choice import ChargeChoice, SectorChoice

if TYPE_CHECKING:
    from hamiltonians import Sector, SystemInfo
    from nnbf.drivers.monitor import Monitor
    from nnbf.runs.directory import RunDirectory


@dataclass(frozen=True)
class Limits(Checked):
    """Limit of a run."""

    time_limit: Positive | None = None
    """Stop after this many seconds; levels that are done are kept, and 'nnbf resume' goes on."""


@dataclass(frozen=True)
class LatticeLimits(Limits):
    """Limits of a run on a lattice."""

    exact_limit: Annotated[int, Ge(0)] = 200_000
    """Sectors up to this many states are diagonalised exactly, for comparison; 0: none."""


@dataclass(frozen=True)
class SpectrumLimits(LatticeLimits):
    """Limits of a spectrum."""

    workers: Workers = 1
    """Processes that solve sectors side by side, each with one thread (on the CPU)."""


LIMITS = {"lattice": LatticeLimits, "spectrum": SpectrumLimits, "charge": Limits}
"""Data class of the limits, by command."""


@dataclass(frozen=True, eq=False)
class Job:
    """A problem, the options, and the levels that are wanted of it."""

    command: str
    """molecule, fcidump, solve, lattice, spectrum or charge."""
    problem: Any
    """What is solved: a `Molecule`, a `Lattice`, or another registered problem."""
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
        """Whether the problem is a lattice."""
        return self.command in LATTICE

    @property
    def is_molecule(self) -> bool:
        """Whether the problem is a molecule."""
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
        """Warnings about the problem."""
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
        return sum(self.n_levels(sector) for sector in self.sectors) if self.is_lattice else 1

    def remaining(self, done: Iterable[Mapping[str, Any]]) -> "list[Sector]":
        """Sectors of which a level is missing among those that are done."""
        counts: dict[tuple, int] = {}
        for level in done:
            key = level_key(level)[:-1]
            counts[key] = counts.get(key, 0) + 1
        return [s for s in self.sectors if counts.get(sector_key(s), 0) < self.n_levels(s)]

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
                from nnbf.drivers.sector_ansatz import make_lattice_ansatz

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
        if self.is_lattice:
            return self._levels(monitor, done)
        from nnbf.drivers import solve

        solve(self.problem, self.options, method=self.method, monitor=monitor, start=start)
        return {}

    def _levels(self, monitor: "Monitor", done: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        from nnbf.drivers.calculation import spectrum

        assert isinstance(self.limits, LatticeLimits)
        spectrum(
            self.problem,
            self.remaining(done),
            self.options,
            levels=self.choice.levels,
            exact_limit=self.limits.exact_limit,
            monitor=monitor,
            workers=getattr(self.limits, "workers", 1),
        )
        return {}

    def _charge(self, monitor: "Monitor") -> dict[str, Any]:
        from nnbf.drivers.charge_levels import charge_excitations

        momenta, spin = self.choice.particle_momenta(self.problem), self.choice.spin
        found = charge_excitations(
            self.problem, self.options, momenta=momenta, spin=spin, levels=self.choice.levels, monitor=monitor
        )
        return {**found.record(), "exact": self._exact_charge(momenta, spin) if self.choice.exact else None}

    def _exact_charge(self, momenta: Any, spin: int) -> dict[str, Any] | None:
        from nnbf.observables.spectral_function import exact_charge_excitations

        try:
            return exact_charge_excitations(self.problem, momenta=momenta, spin=spin).record()
        except InputError:  # too large
            return None


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
    limits: Any = None
    choice = None
    if command in LATTICE:
        try:
            limits = LIMITS[command](**(config["limits"] or {}))
            choice = {"charge": ChargeChoice}.get(command, SectorChoice)(**(config["sectors"] or {}))
        except TypeError as error:
            raise InputError(f"{directory.config_file} cannot be resumed ({error}): start anew") from error
        limits = replace(limits, **{k: v for k, v in changes.items() if k == "time_limit"})
        changes = {k: v for k, v in changes.items() if k != "time_limit"}
    problem = directory.read_problem(config)
    if choice is None:
        method_named(problem, config["method"])
    options = replace(make_options(problem.format, config["options"]), **changes)
    return Job(
        command=command,
        problem=problem,
        options=options,
        method=config["method"],
        choice=choice,
        limits=limits,
    )
