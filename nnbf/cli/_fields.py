"""The options of a command, derived from the data classes it is made of."""

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class OptionField:
    """One option: a field of one of the groups of a command."""

    group: str
    """Field of the command that holds the group."""
    name: str
    """Name in Python: "time_limit"."""
    annotation: Any
    """Its type."""
    required: bool
    """Whether there is no default; such an option is positional."""

    @property
    def flag(self) -> str:
        """Name on the command line: "--time-limit"."""
        return "--" + self.name.replace("_", "-")


def option_fields(command: type) -> dict[str, OptionField]:
    """Return all options of a command by name.

    Args:
        command: A data class whose fields are data classes, the groups.
    """
    found: dict[str, OptionField] = {}
    groups = typing.get_type_hints(command)
    for group in dataclasses.fields(command):
        group_type = groups[group.name]
        hints = typing.get_type_hints(group_type)
        for field in dataclasses.fields(group_type):
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if field.name in found:
                raise TypeError(f"{command.__name__} has two options named {field.name}")
            found[field.name] = OptionField(group.name, field.name, hints[field.name], required)
    return found


def alternatives(annotation: Any) -> list[Any]:
    """Return the members of a union, without None; a list of one for other types."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [part for part in typing.get_args(annotation) if part is not types.NoneType]
    return [annotation]


def expected(annotation: Any) -> str:
    """Say in words what values a type has."""
    return " or ".join(_expected_of_one(part) for part in alternatives(annotation))


def _expected_of_one(annotation: Any) -> str:
    if typing.get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(annotation)))
    if typing.get_origin(annotation) is tuple:
        return "whole numbers with commas between them, such as 128,64"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))
