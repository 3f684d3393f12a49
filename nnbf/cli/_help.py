"""The help text of a command: tyro's, less what says nothing, plus examples."""

import re
from collections.abc import Sequence


def help_text(text: str, examples: Sequence[str]) -> str:
    """Return what `nnbf COMMAND --help` prints.

    Args:
        text: The help text that tyro made.
        examples: Commands to show below it.
    """
    lines = [_with_plain_heads(without_empty_defaults(text)).rstrip("\n")]
    if examples:
        lines += ["", "examples:", *(f"  {example}" for example in examples)]
    return "\n".join(lines) + "\n"


def without_empty_defaults(text: str) -> str:
    """Take out "(default: None)": what happens without such an option is described in words."""
    # The words may stand alone on a line, or on two lines.
    text = re.sub(r"\n +\(default:\s+None\) *(?=\n)", "", text)
    text = re.sub(r" *\(default:\s+None\) *(?=\n)", "", text)
    return re.sub(r" +\n", "\n", text)


def _with_plain_heads(text: str) -> str:
    """Let what a group is for be its head, with the name of its table in config files."""
    group = r"\n (\w+) options\n( -+)\n  (\S.*)\n  -+\n"
    return re.sub(group, r"\n \3 Table [\1] in a config file.\n\2\n", text)
