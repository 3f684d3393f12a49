"""The one exception that means "the input is wrong": catch it to show its message to a user."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Raised for input that cannot be solved as given.

    The message is one line: what is wrong, and what to give instead.
    """


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` of the `known` names that resemble `name`, ignoring case, best first."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=count, cutoff=0.4)
    return [by_folded[match] for match in matches]


def one_line(error: BaseException) -> str:
    """Return the text of an exception on one line, for use inside an `InputError` message."""
    return " ".join(str(error).split()) or type(error).__name__
