"""Commands of the program in messages: the one place below the command line that names them."""

import shlex
from typing import Any


def typed(command: str, *words: Any) -> str:
    """Return a command as a message quotes it.

    Args:
        command: Word after the name of the program.
        words: What follows, such as a run folder.

    Example:
        >>> print(typed("resume", "runs/demo"))
        'nnbf resume runs/demo'
    """
    return f"'{shlex.join(['nnbf', command, *map(str, words)])}'"
