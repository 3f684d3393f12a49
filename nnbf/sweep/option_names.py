"""The options that a manifest may use: those of one command of the program, as the command line has them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hamiltonians.errors import InputError, nearest_names


@dataclass(frozen=True)
class Option:
    """One option of a command."""

    name: str
    """Name in Python: "time_limit"."""
    flag: str
    """Name on the command line: "--time-limit"."""
    positional: bool
    """True where it stands without its name, and has to be given."""
    switch: bool
    """True where it is given as --name or --no-name, without a value."""
    wanted: str
    """Values that it has, in words."""
    convert: Callable[[Any], Any]
    """Return a value from a TOML file as the option wants it, or raise TypeError."""

    def words(self, value: Any) -> list[str]:
        """Return what gives the option this value on a command line."""
        if self.switch:
            return [self.flag if value else self.flag.replace("--", "--no-", 1)]
        if isinstance(value, bool):
            text = "auto" if value else "none"
        elif isinstance(value, tuple | list):
            text = ",".join(map(str, value))
        else:
            text = str(value)
        return [text] if self.positional else [f"{self.flag}={text}"]


@dataclass(frozen=True)
class Vocabulary:
    """The options of one command."""

    command: str
    """Its word after `nnbf`."""
    options: Mapping[str, Option]
    """All that a point may be given, by name in Python."""

    def key(self, name: str) -> str:
        """Return the name in Python of an option spelt with either dash."""
        return name.replace("-", "_")

    def checked(self, name: str, value: Any, where: str) -> tuple[str, Any]:
        """Return the name of an option in Python and its value, converted.

        Args:
            name: As the manifest spells it.
            value: From the manifest.
            where: What to name in messages: "sweep.toml: base.seed".

        Raises:
            InputError: There is no such option, or the value has the wrong type.
        """
        option = self.options.get(self.key(name))
        if option is None:
            raise unknown_key(where, name, self.options)
        try:
            return option.name, option.convert(value)
        except TypeError:
            raise InputError(f"{where} = {value!r} has the wrong type: give {option.wanted}") from None

    def checked_table(self, table: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return a table of options with their names in Python and values converted; see `checked`."""
        return dict(self.checked(name, value, f"{where}.{name}") for name, value in table.items())

    def words(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the command with these options as words, positional ones first."""
        ordered = [option for option in self.options.values() if option.positional]
        ordered += [option for option in self.options.values() if not option.positional]
        words = [self.command]
        for option in ordered:
            if option.name in options:
                words += option.words(options[option.name])
        return tuple(words)


def require_known(where: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that are unknown with either dash, and give the nearest known one.

    Raises:
        InputError: One is unknown.
    """
    for name in names:
        if name.replace("-", "_") not in known:
            raise unknown_key(where, name, known)


def unknown_key(where: str, name: str, known: Collection[str]) -> InputError:
    """Return the error for an unknown key, which names the nearest known one."""
    names = [key.replace("_", "-") for key in known]
    close = nearest_names(name.replace("_", "-"), names)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(names)[:12])}"
    return InputError(f"{where}: unknown key {name!r}: {hint}")
