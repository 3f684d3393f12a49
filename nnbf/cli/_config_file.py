"""Options from a TOML file: the same names as on the command line, flat or in the groups' tables."""

import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hamiltonians.errors import InputError, nearest_names, one_line
from nnbf.cli._fields import OptionField, alternatives, expected, option_fields
from nnbf.cli._parsing import option_value, parse_command

_NOT_IN_FILES = ("config",)


def parse_with_config[Command](
    kind: type[Command], name: str, arguments: Sequence[str], examples: Sequence[str]
) -> Command:
    """Parse a command whose options may also stand in the file of `--config`.

    Args:
        kind: The command as a data class.
        name: Its word after `nnbf`.
        arguments: What follows.
        examples: Shown in its help.

    Raises:
        InputError: Arguments or file make no sense.
    """
    config_file = option_value(arguments, "--config")
    return parse_command(
        kind,
        arguments,
        prog=f"nnbf {name}",
        examples=examples,
        defaults={} if config_file is None else read_config_file(config_file, kind),
        defaults_source=config_file or "",
    )


def read_config_file(path: str | Path, command: type) -> dict[str, Any]:
    """Return the options in a file, by Python name, with their types checked.

    Args:
        path: The file.
        command: The command they are for; see `nnbf.cli._fields.option_fields`.

    Raises:
        InputError: The file cannot be read, a key is unknown or given twice, or a value has the
            wrong type.
    """
    source = Path(path).expanduser()
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(f"cannot read {source}: {reason}; give a TOML file as --config") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source} is not TOML: {one_line(error)}") from error
    fields = {name: field for name, field in option_fields(command).items() if name not in _NOT_IN_FILES}
    groups = sorted({field.group for field in fields.values()})
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key in groups and isinstance(value, Mapping):
            own = {name: field for name, field in fields.items() if field.group == key}
            for inner, inner_value in value.items():
                _add(values, source, f"{key}.{inner}", inner, inner_value, own, fields)
        else:
            _add(values, source, key, key, value, fields, dict.fromkeys(groups))
    return values


def _add(
    values: dict[str, Any],
    source: Path,
    path: str,
    key: str,
    value: Any,
    fields: Mapping[str, OptionField],
    others: Mapping[str, Any],
) -> None:
    name = key.replace("-", "_")
    if name not in fields:
        close = nearest_names(name, [*fields, *others])
        hint = f"did you mean {close[0]!r}?" if close else "see --help for the names"
        raise InputError(f"{source}: unknown key {path!r}: {hint}")
    if name in values:
        raise InputError(f"{source}: {path!r} is given twice")
    try:
        values[name] = converted(value, fields[name].annotation)
    except TypeError:
        raise InputError(
            f"{source}: {path} = {_as_toml(value)} has the wrong type: "
            f"give {expected(fields[name].annotation)}"
        ) from None


def converted(value: Any, annotation: Any) -> Any:
    """Return `value` as the annotation wants it, or raise TypeError."""
    for kind in alternatives(annotation):
        if typing.get_origin(kind) is Literal:
            if value in typing.get_args(kind) and not isinstance(value, bool):
                return value
        elif typing.get_origin(kind) is tuple:
            (item, _) = typing.get_args(kind)
            if isinstance(value, list):
                return tuple(converted(part, item) for part in value)
        elif kind is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        elif kind is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        elif isinstance(value, kind):
            return value
    raise TypeError


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{...}"
    return str(value)
