"""Options whose bounds stand beside their fields, as `annotated_types` in the annotations.

A data class of options derives from `Checked`; what its annotations say is checked when one is made::

    @dataclass(frozen=True)
    class Options(Checked):
        n_samples: Annotated[int, Ge(16)] = 1024
        noise: Positive = 0.05
        method: Literal["auto", "vmc"] = "auto"

pydantic would do the same, but its import takes 0.3 s of every command line; this takes 0.01 s.
"""

import functools
import math
import numbers
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, Le, Lt, MultipleOf

from hamiltonians.errors import InputError

Positive = Annotated[float, Gt(0)]
"""A finite number above zero."""
Workers = Annotated[int, Interval(ge=1, le=1024)]
"""Processes side by side."""
Seed = Annotated[int, Ge(0), Le(2**63 - 1)]
"""A seed of random numbers."""


class Checked:
    """Base of a data class of options: refuses values outside the bounds of its annotations.

    Numbers must be finite, unless an upper bound of infinity is written down. Rules for several fields go
    into a `__post_init__` that calls this one first.

    Raises:
        InputError: Names the field, its bound and the value.
    """

    def __post_init__(self) -> None:
        """Check all fields."""
        options: Any = type(self)
        for name, annotation in _annotations(options).items():
            value = getattr(self, name)
            problem = problem_of(value, annotation)
            if problem is not None:
                raise InputError(f"{name} must {problem}, got {_shown(value)}")


@functools.cache
def _annotations(options: Any) -> dict[str, Any]:
    return typing.get_type_hints(options, include_extras=True)


def problem_of(value: Any, annotation: Any) -> str | None:
    """Name the bound that a value breaks.

    Args:
        value: The value.
        annotation: A type, with bounds as the metadata of `Annotated`.

    Returns:
        Words that follow "must", such as "be at least 1"; None for a value within bounds.
    """
    kind, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if kind is Annotated:
        return problem_of(value, parts[0]) or _beyond(value, parts[1:])
    if kind in (typing.Union, types.UnionType):
        problems = [problem_of(value, part) for part in parts]
        return None if None in problems else problems[0]
    if kind is Literal:
        return None if value in parts else f"be one of {', '.join(map(str, parts))}"
    if kind is tuple:
        if not isinstance(value, tuple):
            return "be a tuple"
        problems = [problem for item in value if (problem := problem_of(item, parts[0]))]
        return f"each {problems[0]}" if problems else None
    return _of_another_type(value, annotation)


def _of_another_type(value: Any, kind: Any) -> str | None:
    if kind is types.NoneType:
        return None if value is None else "be left out"
    if kind in (int, float):
        wanted, words = {int: (numbers.Integral, "a whole number"), float: (numbers.Real, "a number")}[kind]
        return None if isinstance(value, wanted) and not isinstance(value, bool) else f"be {words}"
    return "be text" if kind is str and not isinstance(value, str) else None


def _beyond(value: Any, bounds: tuple[Any, ...]) -> str | None:
    """Name the first bound that a number breaks."""
    if value is None:
        return None
    single = [part for bound in bounds for part in (bound if isinstance(bound, Interval) else (bound,))]
    problem = next((_words(bound, value) for bound in bounds if not _within(value, bound)), None)
    if problem is None and math.isinf(value) and Le(math.inf) not in single:
        least = next((f"{bound.ge} or more" for bound in single if isinstance(bound, Ge)), "positive")
        return f"be {least}, and finite"
    return problem


def _within(value: Any, bound: Any) -> bool:
    match bound:
        case Interval():
            return all(_within(value, part) for part in bound)
        case Ge(ge=least):
            return value >= least
        case Gt(gt=least):
            return value > least
        case Le(le=most):
            return value <= most
        case Lt(lt=most):
            return value < most
        case MultipleOf(multiple_of=unit):
            return value >= 0 and math.isfinite(value) and float(value / unit).is_integer()
    raise TypeError(f"no bound of options: {bound!r}")


def _words(bound: Any, value: Any) -> str:
    match bound:
        case Interval(ge=least, le=most) if isinstance(value, int) and None not in (least, most):
            return f"be from {least} to {most}"
        case Interval(gt=0, le=math.inf) | Gt(gt=0):
            return "be positive"
        case Interval(ge=least, gt=above, le=most, lt=below):
            left = f"[{least}" if above is None else f"({above}"
            return f"lie in {left}, {most}]" if below is None else f"lie in {left}, {below})"
        case MultipleOf(multiple_of=unit):
            return f"be a multiple of {unit} from 0"
    for name, words in {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}.items():
        if hasattr(bound, name):
            return f"be {words} {getattr(bound, name)}"
    raise TypeError(f"no bound of options: {bound!r}")


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


# ---- options of a command ------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """One option of a command: a field of a data class of options."""

    name: str
    """Name in Python: "time_limit"."""
    annotation: Any
    """Its type, without bounds."""
    required: bool = False
    """True where there is no default; such an option is positional."""
    group: str = ""
    """Field of the command that holds the data class."""

    @property
    def flag(self) -> str:
        """Name on the command line: "--time-limit"."""
        return "--" + self.name.replace("_", "-")

    @property
    def negated(self) -> str:
        """Name on the command line that switches it off: "--no-blocked"."""
        return "--" + f"no_{self.name}".replace("_", "-")

    @property
    def wanted(self) -> str:
        """Values that it has, in words."""
        return " or ".join(map(_in_words, alternatives(self.annotation)))

    def convert(self, value: Any) -> Any:
        """Return a value of a TOML file as the option wants it, or raise TypeError."""
        return _converted(value, self.annotation)

    def words(self, value: Any) -> list[str]:
        """Return what gives the option this value on a command line."""
        if self.annotation is bool:
            return [self.flag if value else self.negated]
        if isinstance(value, bool):
            text = "auto" if value else "none"
        elif isinstance(value, tuple | list):
            text = ",".join(map(str, value))
        else:
            text = str(value)
        return [text] if self.required else [f"{self.flag}={text}"]


def alternatives(annotation: Any) -> list[Any]:
    """Return the members of a union, without None; a list of one for other types."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [part for part in typing.get_args(annotation) if part is not types.NoneType]
    return [annotation]


def _converted(value: Any, annotation: Any) -> Any:
    for kind in alternatives(annotation):
        if typing.get_origin(kind) is Literal:
            if value in typing.get_args(kind) and not isinstance(value, bool):
                return value
        elif typing.get_origin(kind) is tuple:
            if isinstance(value, list):
                return tuple(_converted(part, typing.get_args(kind)[0]) for part in value)
        elif isinstance(value, bool) and kind is not bool:
            continue
        elif kind is float and isinstance(value, int):
            return float(value)
        elif isinstance(value, kind):
            return value
    raise TypeError


def _in_words(annotation: Any) -> str:
    if typing.get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(annotation)))
    if typing.get_origin(annotation) is tuple:
        return "whole numbers with commas between them, such as 128,64"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))
