"""Options of commands, from command lines and TOML files to data classes.

A command is a data class of groups of options; fields without a default are positional. Every mistake is one
line that says what to give instead. The text of ``--help`` is tyro's, from the docstrings of the fields.
"""

import contextlib
import dataclasses
import io
import math
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hamiltonians.errors import InputError, nearest_names, one_line
from nnbf._io import given_path, read_toml
from nnbf._options import Checked, Option, alternatives

YES = ("true", "auto", "yes", "on")
"""Words for yes, where an option takes a number or yes/no."""
NO = ("false", "none", "no", "off")
"""Words for no."""


# ---- options of a command ------------------------------------------------------------------------


def option_fields(command: type) -> dict[str, Option]:
    """Return all options of a command by name.

    Args:
        command: A data class whose fields are data classes, the groups.
    """
    found: dict[str, Option] = {}
    for group, group_type in typing.get_type_hints(command).items():
        hints = typing.get_type_hints(group_type)
        for field in dataclasses.fields(group_type):
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if field.name in found:
                raise TypeError(f"{command.__name__} has two options named {field.name}")
            found[field.name] = Option(field.name, hints[field.name], required, group)
    return found


def with_flags(message: str, fields: Mapping[str, Option]) -> str:
    """Return a message with options spelt as on the command line.

    Below the command line messages name fields: "give n_samples", "cell must be". Names that are words of
    English, too, are options at the beginning of a message and after "give" or "leave out". Messages about a
    TOML file keep the names of its keys.
    """
    if re.match(r"\S+\.toml: ", message):
        return message
    for name, field in fields.items():
        if not field.required:
            before = r"(?<![\w./'-])" if "_" in name else r"(?:^|(?<=\bgive )|(?<=\bleave out ))"
            message = re.sub(rf"{before}{name}(?![\w./'-]|: )", field.flag, message)
    return message


# ---- command lines -------------------------------------------------------------------------------


def parse_command[Command](
    command: type[Command], arguments: Sequence[str], *, prog: str, examples: Sequence[str] = ()
) -> Command:
    """Parse the arguments of one command; options may also stand in the file of its option `config`.

    Args:
        command: A data class of groups of options.
        arguments: Words after the name of the command.
        prog: The command as typed, such as "nnbf molecule".
        examples: Lines shown at the end of the help text.

    Raises:
        InputError: Arguments or file make no sense.
        SystemExit: With code 0, after the help text was printed.
    """
    fields = option_fields(command)
    if {"-h", "--help"} & {*arguments}:
        print(help_text(command, prog, examples), end="")
        raise SystemExit(0)
    given = _given(arguments, fields, prog)
    source = given.get("config")
    in_file = {} if source is None else read_config_file(source, command)
    if in_file:
        positional = {name: given.get(name, "") for name in _positions(fields)}
        try:  # what is wrong in the file itself is said to be wrong in the file
            _made(command, fields, {**positional, **in_file})
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
    values = {**in_file, **given}
    for name in _positions(fields):
        if name not in values:
            raise InputError(f"no {name} given: {_usage(fields, prog)}")
    return _made(command, fields, values)


def _made[Command](
    command: type[Command], fields: Mapping[str, Option], values: Mapping[str, Any]
) -> Command:
    groups: dict[str, dict[str, Any]] = {name: {} for name in typing.get_type_hints(command)}
    for name, value in values.items():
        groups[fields[name].group][name] = value
    kinds = typing.get_type_hints(command)
    return command(**{name: _group(kinds[name], options) for name, options in groups.items()})


def _group[Group](kind: type[Group], values: Mapping[str, Any]) -> Group:
    """A group of options; the class may be a plug-in's, which checks nothing or in its own way."""
    try:
        made = kind(**values)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(one_line(error)) from error
    for name, value in values.items():
        if not isinstance(made, Checked) and isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name} must be a finite number, got {value}")
    return made


def _given(arguments: Sequence[str], fields: Mapping[str, Option], prog: str) -> dict[str, Any]:
    """Return the values on a command line by name of the option."""
    known = {field.flag: field for field in fields.values() if not field.required}
    known |= {field.negated: field for field in known.values() if field.annotation is bool}
    given: dict[str, Any] = {}
    rest = []
    words = [*arguments]
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        if not re.match(r"--?[A-Za-z]", flag):
            rest.append(word)
            continue
        flag = flag.replace("_", "-")
        if flag not in known:
            close = nearest_names(flag, {*known, "--help"})
            hint = f"did you mean {close[0]}?" if close else f"see '{prog} --help'"
            raise InputError(f"unknown option {flag}: {hint}")
        field = known[flag]
        if field.annotation is bool:
            if equals:
                raise InputError(f"{flag} takes no value: leave it out")
            given[field.name] = flag == field.flag
        elif not equals and not _is_value(field, words[:1]):
            if field.annotation != bool | int:
                raise InputError(f"{flag} has no value: give {field.wanted}")
            given[field.name] = True
        else:
            given[field.name] = _from_word(field, value if equals else words.pop(0))
    return given | _positional(rest, fields, prog)


def _is_value(field: Option, following: list[str]) -> bool:
    if not following or re.match(r"--?([A-Za-z]|$)", following[0]):
        return False
    if field.annotation != bool | int:
        return True
    # An option that takes a number or yes/no may stand alone, for yes.
    return bool(re.fullmatch(r"[+-]?\d+", following[0])) or following[0].casefold() in (*YES, *NO)


def _positional(words: list[str], fields: Mapping[str, Option], prog: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _positions(fields):
        if words and typing.get_origin(fields[name].annotation) is tuple:
            found[name], words = tuple(words), []
        elif words:
            found[name] = words.pop(0)
    if words:
        raise InputError(f"unexpected argument {words[0]!r}: {_usage(fields, prog)}")
    return found


def _positions(fields: Mapping[str, Option]) -> list[str]:
    return [name for name, field in fields.items() if field.required]


def _usage(fields: Mapping[str, Option], prog: str) -> str:
    return f"give '{' '.join([prog, *map(str.upper, _positions(fields))])}' and options that begin with --"


def _from_word(field: Option, word: str) -> Any:
    for kind in alternatives(field.annotation):
        with contextlib.suppress(ValueError):
            if typing.get_origin(kind) is tuple:
                return tuple(int(part) for part in word.split(","))
            if typing.get_origin(kind) is Literal and word in typing.get_args(kind):
                return word
            if kind is bool and word.casefold() in (*YES, *NO):
                return word.casefold() in YES
            if kind in (int, float, str):
                return kind(word)
    raise InputError(f"{field.flag} {word!r} is not understood: give {field.wanted}")


# ---- TOML files ----------------------------------------------------------------------------------


def read_config_file(path: str | Path, command: type) -> dict[str, Any]:
    """Return the options in a file, by Python name: flat, or in tables named after groups.

    Args:
        path: The file.
        command: The command they are for.

    Raises:
        InputError: The file cannot be read, a key is unknown or given twice, or a value has the
            wrong type.
    """
    source = given_path(path)
    content = read_toml(source, "a TOML file as --config")
    fields = {name: field for name, field in option_fields(command).items() if name != "config"}
    groups = {field.group for field in fields.values()}
    values: dict[str, Any] = {}
    for key, value in content.items():
        table = value if key in groups and isinstance(value, Mapping) else {key: value}
        of_table = key if table is value else ""
        for inner, inner_value in table.items():
            name, place = inner.replace("-", "_"), f"{of_table}.{inner}".lstrip(".")
            if name not in fields or of_table not in ("", fields[name].group):
                close = nearest_names(name, [*fields, *(groups if not of_table else ())])
                hint = f"did you mean {close[0]!r}?" if close else "see --help for the names"
                raise InputError(f"{source}: unknown key {place!r}: {hint}")
            if name in values:
                raise InputError(f"{source}: {place!r} is given twice")
            try:
                values[name] = fields[name].convert(inner_value)
            except TypeError:
                given = _as_toml(inner_value)
                raise InputError(
                    f"{source}: {place} = {given} has the wrong type: give {fields[name].wanted}"
                ) from None
    return values


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else "{...}" if isinstance(value, Mapping) else str(value)


# ---- help ----------------------------------------------------------------------------------------


def help_text(command: type, prog: str, examples: Sequence[str] = ()) -> str:
    """Return the text of `nnbf COMMAND --help`: tyro's, less empty defaults, plus examples."""
    import tyro

    written = io.StringIO()
    style = (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.PositionalRequiredArgs,
        tyro.conf.PositionalMetavarFromFieldName,
        tyro.conf.HelptextFromCommentsOff,
        tyro.conf.DisallowNone,
    )
    with contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
        tyro.cli(command, prog=prog, args=["--help"], config=style, registry=_shown_types())
    # "(default: None)", alone on a line or on two: the docstring has in words what happens then.
    text = re.sub(r"\n +\(default:\s+None\) *(?=\n)", "", written.getvalue())
    text = re.sub(r" *\(default:\s+None\) *(?=\n)", "", text)
    text = re.sub(r" +\n", "\n", text)
    # Purposes of groups are their heads, beside the names of their tables in config files.
    head = r"\n (\w+) options\n( -+)\n  (\S.*)\n  -+\n"
    lines = [re.sub(head, r"\n \3 Table [\1] in a config file.\n\2\n", text).rstrip("\n")]
    if examples:
        lines += ["", "examples:", *(f"  {example}" for example in examples)]
    return "\n".join(lines) + "\n"


def _shown_types() -> Any:
    """Return tyro's registry of our own types: "128,64" for whole numbers, "auto" beside a number."""
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    @registry.primitive_rule
    def own_type(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        bounded = typing.get_args(info.type) or (None,)
        item = (typing.get_args(bounded[0]) or bounded)[0]  # of Annotated[int, Ge(1)], or int
        if info.type == bool | int:
            metavar, shown = "{auto,none}|INT", {True: "auto", False: "none"}
        elif typing.get_origin(info.type) is tuple and item is int:
            metavar, shown = "INT,INT,...", {}
        else:
            return None

        def text(value: Any) -> list[str]:
            if isinstance(value, tuple):
                return [",".join(map(str, value))]
            return [shown.get(value, str(value)) if isinstance(value, bool) else str(value)]

        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=metavar,
            instance_from_str=lambda words: words[0],
            is_instance=lambda value: isinstance(value, int | tuple),
            str_from_instance=text,
        )

    return registry
