"""What is printed: errors and warnings, the state of a run while it works, and the tables at its end."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nnbf._text import difference, value_with_error
from nnbf.cli.parsing import option_fields, with_flags
from nnbf.runs.schema import sector_label

_RED, _YELLOW, _OFF = "\033[1;31m", "\033[1;33m", "\033[0m"
_PLAIN_INTERVAL = 5.0  # seconds between plain lines
_LONGEST, _BEGIN = 280, 190  # characters of an error: what files hold may be of any length
_PLAIN_WIDTH = 250  # tables are as wide as they need, and wrapped beyond


def say_error(message: str) -> None:
    """Print one line that begins with "error: " on standard error."""
    _say("error:", _RED, _short(message))


def say_warning(message: str) -> None:
    """Print one line that begins with "warning: " on standard error."""
    _say("warning:", _YELLOW, message)


def _say(head: str, colour: str, message: str) -> None:
    text = " ".join(message.split())
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        head = f"{colour}{head}{_OFF}"
    print(f"{head} {text}", file=sys.stderr, flush=True)


def _short(message: str) -> str:
    """An error without line breaks and control characters, its middle left out where it is too long."""
    text = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return text if len(text) <= _LONGEST else f"{text[:_BEGIN]} ... {text[_BEGIN - _LONGEST + 5 :]}"


def counted(number: int, what: str) -> str:
    """Return a number with its noun: "1 sector", "3 sectors"."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def clock(seconds: float) -> str:
    """Return a duration as m:ss or h:mm:ss."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def level_label(record: Mapping[str, Any]) -> str:
    """Return the name of a level: its sector, and its number where that is not the first."""
    sector = record.get("sector") or record
    label = sector_label(sector["momentum"], sector["irrep"], sector["spin_flip"])
    return f"{label} level {record['level']}".strip() if record["level"] else label


class Progress:
    """State of a calculation: live lines on a terminal, a plain line now and then elsewhere."""

    def __init__(
        self, *, quiet: bool = False, time_limit: float | None = None, options: type | None = None
    ) -> None:
        """Take the limit in seconds, which is shown, and the command whose fields are flags in messages."""
        from rich.console import Console

        self.quiet = quiet
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = _PLAIN_WIDTH
        self.time_limit = time_limit
        self._fields = {} if options is None else option_fields(options)
        self.reference: tuple[str, float] | None = None
        """Label and energy that rows are compared with, in the unit of the run."""
        self.n_levels: int | None = 1
        """Levels that are wanted."""
        self.n_done = 0
        """Levels that there are."""
        self._said: set[str] = set()
        self._started = time.monotonic()
        self._last_plain = float("-inf")
        self._now: tuple[str, ...] = ()
        self._printed: tuple[str, ...] = ()

    # ---- any calculation ----

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, warning: str) -> None:
        """Print a warning, once."""
        if warning not in self._said:
            self._said.add(warning)
            say_warning(self.spelt(warning))

    def spelt(self, message: str) -> str:
        """Return a message with the command's fields as flags."""
        return with_flags(message, self._fields)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Say that something without steps is going on."""
        if self.quiet or not self.console.is_terminal:
            self.say(f"{what} ...")
            yield
        else:
            with self.console.status(f"{what} ..."):
                yield

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Show what `show` is told, and leave the last of it behind."""
        self._started = time.monotonic()
        with self._live():
            yield
        if self._now != self._printed:
            self.say("  ".join(self._now))

    def _live(self) -> contextlib.AbstractContextManager[Any]:
        if self.quiet or not self.console.is_terminal:
            return contextlib.nullcontext()
        from rich.live import Live

        # The picture is made anew at every refresh, so that the clock runs during long steps.
        return Live(console=self.console, get_renderable=self._picture, refresh_per_second=4, transient=True)

    def show(self, *parts: str, now: bool = False) -> None:
        """Show lines on a terminal, parts of one line elsewhere: now and then only, unless `now`."""
        self._now = parts
        if self.quiet or self.console.is_terminal:
            return
        if now or time.monotonic() - self._last_plain >= _PLAIN_INTERVAL:
            self._last_plain, self._printed = time.monotonic(), parts
            self.say("  ".join(parts))

    def clock(self, elapsed: float) -> str:
        """Return a time, with the limit where there is one."""
        return clock(elapsed) + ("" if self.time_limit is None else f" of {clock(self.time_limit)}")

    def announce_stop(self, reason: str) -> None:
        """Say that a request to stop was heard."""
        self.say(f"{reason}: stopping after this step, then writing the result (Ctrl-C again: at once)")

    def _picture(self) -> Any:
        from rich.text import Text

        elapsed = time.monotonic() - self._started
        over = "  evaluating ..." if self.time_limit is not None and elapsed > self.time_limit else ""
        lines = self._now or ("compiling the network ...",)
        text = "\n".join([*lines, f"{self.clock(elapsed)}{over}"])
        return Text(text, no_wrap=True, overflow="ellipsis")

    # ---- runs ----

    def begun(self, folder: Path, step: int | None = None) -> None:
        """Say where a run is written, and after how many steps it goes on (None: a new run)."""
        self.say(f"run folder: {folder}")
        if step is not None:
            self.say(f"going on after {step} steps" if step else "starting from the first step")

    def row(self, row: Mapping[str, Any]) -> None:
        """Show one row of the history."""
        parts = []
        if row.get("sector"):
            parts.append(f"{row['sector']}, level {row['level']}:")
        parts.append(f"step {row.get('step', 0)}")
        energy, error = row.get("energy"), row.get("energy_error")
        if energy is not None:
            parts.append(f"E {value_with_error(energy, error)}")
            if self.reference is not None and not row.get("sector"):
                label, known = self.reference
                parts.append(f"{difference(1e3 * (energy - known), 1e3 * (error or 0.0))} mHa to {label}")
        if row.get("objective") is not None and row.get("energy_kind") == "variational":
            parts.append(f"with samples around V {row['objective']:.6f}")
        if row.get("variance") is not None:
            parts.append(f"variance {row['variance']:.1e}")
        sizes = {"|V|": "n_space", "|C|": "n_connected", "distinct": "n_unique"}
        more = [f"{name} {row[key]:,}" for name, key in sizes.items() if row.get(key) is not None]
        if row.get("r_hat") is not None:
            more.append(f"R-hat {row['r_hat']:.3f}")
        if not self.console.is_terminal and row.get("time_s") is not None:
            more.append(self.clock(row["time_s"]))
        self.show("  ".join(parts), *(["  ".join(more)] if more else []))

    def level(self, record: Mapping[str, Any]) -> None:
        """Print a level that is done, its entry in result.json, and its warnings."""
        label = level_label(record)
        self.n_done += 1
        parts = [f"[{self.n_done}/{self.n_levels or '...'}]", label]
        if "particles" in record:
            parts = [f"N = {','.join(map(str, record['particles']))}", label]
        parts.append(f"E {value_with_error(record['energy'], record.get('error'))}")
        exact = record.get("reference")
        if exact is not None:
            parts.append(f"relative error {abs(record['energy'] - exact) / max(abs(exact), 1e-12):.1e}")
        parts.append(f"{record['n_steps']} steps, {clock(record['wall_time_s'])}")
        self.say("  ".join(parts))
        self._now = self._printed = ()
        for warning in record.get("warnings") or ():
            self.warn(f"{label}: {warning}")

    # ---- ends ----

    def tables(self, tables: Sequence[Any], notes: Sequence[str] = ()) -> None:
        """Print tables, and unless quiet notes below; an empty line between tables."""
        shown = [table for table in tables if table.rows]
        for number, table in enumerate(shown):
            if number:
                self.console.print()
            self.console.print(table.rich())
        if notes:
            self.say("\n".join(["", *notes]) if shown else "\n".join(notes))
