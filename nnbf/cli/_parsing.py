"""Command lines to data classes with tyro, where every mistake becomes one line that says what to give."""

import contextlib
import io
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from hamiltonians.errors import InputError, nearest_names
from nnbf.cli._complaints import explain, usage, with_following
from nnbf.cli._fields import OptionField, option_fields
from nnbf.cli._help import help_text
from nnbf.cli._value_types import NO, YES, value_types


def parse_command[Command](
    command: type[Command],
    arguments: Sequence[str],
    *,
    prog: str,
    examples: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
    defaults_source: str = "",
) -> Command:
    """Parse the arguments of one command.

    Args:
        command: A data class whose fields are data classes (groups of options); options without a
            default are positional.
        arguments: What follows the name of the command.
        prog: The command as typed, such as "nnbf molecule".
        examples: Lines shown at the end of the help text.
        defaults: Values by option name that take the place of the data classes' own.
        defaults_source: Where those come from, for error messages.

    Raises:
        InputError: The arguments make no sense.
        SystemExit: With code 0, after the help text was printed.
    """
    import tyro

    fields = option_fields(command)
    words = _with_bare_switches(_checked(arguments, fields, prog), fields)
    default = _default_instance(command, fields, defaults or {}, defaults_source)
    written, complaint = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(complaint):
            parsed, rest = tyro.cli(
                command,
                prog=prog,
                args=words,
                default=default,
                config=(
                    tyro.conf.DisallowNone,
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.PositionalRequiredArgs,
                    tyro.conf.PositionalMetavarFromFieldName,
                    tyro.conf.HelptextFromCommentsOff,
                ),
                registry=value_types(),
                return_unknown_args=True,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            print(help_text(written.getvalue(), examples), end="")
            raise
        raise explain(stop, complaint.getvalue(), words, fields, prog) from None
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}: {usage(fields, prog)}")
    return parsed


def option_value(arguments: Sequence[str], flag: str) -> str | None:
    """Return what the last `flag` of a command line is set to, before the rest is parsed."""
    found = None
    for word, following in with_following(arguments):
        name, equals, value = word.partition("=")
        if name == flag:
            found = value if equals else following
    return None if found in (None, "--") else found


def _checked(arguments: Sequence[str], fields: Mapping[str, OptionField], prog: str) -> list[str]:
    """Return the arguments after checking the names of all options."""
    known = {"--help", "-h"}
    for field in fields.values():
        if not field.required:
            known.add(field.flag)
        if field.annotation is bool:
            known.add(field.flag.replace("--", "--no-", 1))
    words = []
    for word in arguments:
        flag, equals, value = word.partition("=")
        if not re.match(r"--?[A-Za-z]", flag):
            words.append(word)
            continue
        flag = flag.replace("_", "-")
        if flag not in known:
            close = nearest_names(flag, known - {"-h"})
            hint = f"did you mean {close[0]}?" if close else f"see '{prog} --help'"
            raise InputError(f"unknown option {flag}: {hint}")
        words.append(flag + equals + value)
    return words


def _with_bare_switches(words: list[str], fields: Mapping[str, OptionField]) -> list[str]:
    """Let an option that takes a number or yes/no stand alone for yes."""
    switches = {field.flag for field in fields.values() if field.annotation == bool | int}
    completed = []
    for word, following in with_following(words):
        completed.append(word)
        has_value = re.fullmatch(r"[+-]?\d+", following) or following.casefold() in (*YES, *NO)
        if word in switches and not has_value:
            completed.append(YES[0])
    return completed


def _default_instance(
    command: type, fields: Mapping[str, OptionField], defaults: Mapping[str, Any], source: str
) -> Any:
    import tyro

    groups: dict[str, Any] = {}
    for name, group_type in typing.get_type_hints(command).items():
        values = {key: value for key, value in defaults.items() if fields[key].group == name}
        for field in fields.values():
            if field.group == name and field.required and field.name not in values:
                values[field.name] = tyro.MISSING
        try:
            groups[name] = group_type(**values)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
    return command(**groups)
