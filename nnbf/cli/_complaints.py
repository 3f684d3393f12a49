"""What is wrong with a command line, in one line that says what to give instead."""

import itertools
import re
from collections.abc import Mapping, Sequence

from hamiltonians.errors import InputError
from nnbf.cli._fields import OptionField, expected

_FRAME = r"[│╭╮╰╯─]|-{3,}"


def explain(
    stop: SystemExit, text: str, words: Sequence[str], fields: Mapping[str, OptionField], prog: str
) -> InputError:
    """Turn the framed message that tyro wrote before it gave up into an error of our own.

    Args:
        stop: How tyro gave up.
        text: What it wrote.
        words: The arguments.
        fields: The options of the command.
        prog: The command as typed.
    """
    cause: BaseException | None = stop
    while cause is not None:
        if isinstance(cause, InputError):  # raised while a data class checked its values
            return cause
        cause = cause.__context__
    text = " ".join(re.sub(_FRAME, " ", text).split())
    text = text.partition("Argument helptext")[0].partition("For full helptext")[0].strip()
    named = re.search(r"--[a-z][\w-]*", text)
    field = fields.get(named.group()[2:].replace("-", "_")) if named else None
    if field is not None:
        return InputError(_about_value(field, words))
    if "Missing from" in text or "required" in text.casefold():
        missing = next(name for name, field in fields.items() if field.required)
        return InputError(f"no {missing} given: {usage(fields, prog)}")
    return InputError(f"{text or 'the arguments are not understood'}; see '{prog} --help'")


def usage(fields: Mapping[str, OptionField], prog: str) -> str:
    """Say what a command looks like."""
    positional = " ".join(name.upper() for name, field in fields.items() if field.required)
    return f"give '{prog} {positional}' and options that begin with --"


def with_following(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return every word with the one after it; the last one with "--"."""
    return [*itertools.pairwise(words), *((word, "--") for word in words[-1:])]


def with_flags(message: str, fields: Mapping[str, OptionField]) -> str:
    """Return a message with options spelt as on the command line.

    Below the command line messages name fields: "give n_samples", "cell must be". Names that are words of
    English, too, are options at the beginning of a message and after "give" or "leave out". What is said of a
    TOML file keeps the names of its keys.
    """
    if re.match(r"\S+\.toml: ", message):
        return message
    for name, field in fields.items():
        if not field.required:
            before = r"(?<![\w./'-])" if "_" in name else r"(?:^|(?<=\bgive )|(?<=\bleave out ))"
            message = re.sub(rf"{before}{name}(?![\w./'-]|: )", field.flag, message)
    return message


def _about_value(field: OptionField, words: Sequence[str]) -> str:
    wanted = expected(field.annotation)
    for word, following in with_following(words):
        flag, equals, value = word.partition("=")
        if flag not in (field.flag, field.flag.replace("--", "--no-", 1)):
            continue
        if field.annotation is bool:
            return f"{flag} takes no value: leave it out"
        if not equals and re.match(r"--?([A-Za-z]|$)", following):
            return f"{flag} has no value: give {wanted}"
        given = value if equals else following
        return f"{flag} {given!r} is not understood: give {wanted}"
    return f"{field.flag} is not understood: give {wanted}"
