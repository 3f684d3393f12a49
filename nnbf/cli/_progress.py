"""What a run shows while it works: a live line on a terminal, a plain line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from nnbf.report.energies import best_reference

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.drivers.options import SolverOptions
    from nnbf.runs import RunDirectory

_PLAIN_INTERVAL = 5.0  # seconds between plain lines


class Progress:
    """Shows the steps of a run; silent if `quiet`."""

    def __init__(self, options: "SolverOptions", *, quiet: bool = False) -> None:
        self._options = options
        self._quiet = quiet
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._yardstick: tuple[str, float] | None = None
        self._last_plain = float("-inf")
        self._last_row: Mapping[str, Any] | None = None
        self._shown_row: Mapping[str, Any] | None = None

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Say that something without steps is going on."""
        if self._quiet:
            yield
        elif self._console.is_terminal:
            with self._console.status(f"{what} ..."):
                yield
        else:
            self._print(f"{what} ...")
            yield

    @contextlib.contextmanager
    def following(self, system: "Molecule") -> Iterator[None]:
        """Show the system, then the steps that `step` is told of."""
        best = best_reference(system.references)
        self._yardstick = None if best is None else (best.label, best.energy)
        if self._quiet:
            yield
            return
        self._print(describe_system(system))
        if not self._console.is_terminal:
            yield
            if self._last_row is not self._shown_row:
                self._print(self._line(self._last_row or {}))
            return
        self._started = time.monotonic()
        # The picture is made anew at every refresh, so that the clock runs during long steps.
        with Live(console=self._console, get_renderable=self._picture, refresh_per_second=4, transient=True):
            yield
        if self._last_row is not None:
            self._print(self._line(self._last_row))

    def start(self, directory: "RunDirectory") -> None:
        """Say where the run is written."""
        if not self._quiet:
            self._print(f"run folder: {directory.path}")

    def resume(self, directory: "RunDirectory", step: int) -> None:
        """Say where the run is written, and where it goes on."""
        if not self._quiet:
            self._print(f"run folder: {directory.path}")
            self._print(f"going on after {step} steps" if step else "starting from the first step")

    def step(self, row: Mapping[str, Any]) -> None:
        """Show one row of the history."""
        self._last_row = row
        if self._quiet:
            return
        if not self._console.is_terminal and time.monotonic() - self._last_plain >= _PLAIN_INTERVAL:
            self._last_plain = time.monotonic()
            self._shown_row = row
            self._print(self._line(row))

    def announce_stop(self, reason: str) -> None:
        """Say that a request to stop was heard."""
        if not self._quiet:
            self._print(
                f"{reason}: stopping after this step, then writing the result (Ctrl-C again: at once)"
            )

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _picture(self) -> Text:
        """Return what a terminal shows now: two lines that fit into 80 columns."""
        elapsed = time.monotonic() - self._started
        if self._last_row is None:
            return Text(f"{clock(elapsed)}  compiling the network ...")
        limit = self._options.time_limit
        done = "  evaluating ..." if limit is not None and elapsed > limit else ""
        first = "  ".join(self._energies(self._last_row))
        second = "  ".join([*self._sizes(self._last_row), self._time(elapsed)]) + done
        return Text(f"{first}\n{second}", no_wrap=True, overflow="ellipsis")

    def _line(self, row: Mapping[str, Any]) -> str:
        elapsed = row.get("time_s") or 0.0
        return "  ".join([*self._energies(row), *self._sizes(row), self._time(elapsed)])

    def _energies(self, row: Mapping[str, Any]) -> list[str]:
        parts = [f"step {row.get('step', 0)}"]
        energy = row.get("energy")
        if energy is not None:
            error = row.get("energy_error")
            parts.append(f"E {energy:.6f}" + (f" +- {error:.6f}" if error else ""))
            if self._yardstick is not None:
                label, reference = self._yardstick
                parts.append(f"{1e3 * (energy - reference):+.3f} mHa to {label}")
        if row.get("variance") is not None:
            parts.append(f"variance {row['variance']:.1e}")
        return parts

    def _sizes(self, row: Mapping[str, Any]) -> list[str]:
        sizes = (
            ("|V|", row.get("n_space")),
            ("|C|", row.get("n_connected")),
            ("distinct", row.get("n_unique")),
        )
        parts = [f"{name} {size:,}" for name, size in sizes if size is not None]
        if row.get("r_hat") is not None:
            parts.append(f"R-hat {row['r_hat']:.3f}")
        return parts

    def _time(self, elapsed: float) -> str:
        limit = self._options.time_limit
        return clock(elapsed) if limit is None else f"{clock(elapsed)} of {clock(limit)}"


def clock(seconds: float) -> str:
    """Return a duration as m:ss or h:mm:ss."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def describe_system(system: "Molecule") -> str:
    """Return one line on what is solved."""
    from hamiltonians.molecule.fci import fci_dimension

    integrals, info = system.integrals, system.info
    name = " / ".join(part for part in (info.name or info.formula, info.basis) if part) or "system"
    group = f", {info.point_group}" if info.point_group else ""
    return (
        f"{name}: {integrals.n_electrons} electrons (2S = {integrals.two_S}) in {integrals.n_orbitals} "
        f"orbitals, {fci_dimension(integrals):,} determinants{group}"
    )
