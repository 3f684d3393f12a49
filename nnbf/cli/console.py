"""Lines for people: errors and warnings on standard error, coloured on a terminal."""

import os
import sys

_RED, _YELLOW, _OFF = "\033[1;31m", "\033[1;33m", "\033[0m"


def say_error(message: str) -> None:
    """Print one line that begins with "error: "."""
    _say("error:", _RED, message)


def say_warning(message: str) -> None:
    """Print one line that begins with "warning: "."""
    _say("warning:", _YELLOW, message)


def _say(head: str, colour: str, message: str) -> None:
    text = " ".join(message.split())
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        head = f"{colour}{head}{_OFF}"
    print(f"{head} {text}", file=sys.stderr, flush=True)
