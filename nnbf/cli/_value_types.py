"""How words become values where tyro's own way is not what a command line should look like."""

import typing
from typing import Any

YES = ("true", "auto", "yes", "on")
"""Words for yes, where an option takes a number or yes/no."""
NO = ("false", "none", "no", "off")
"""Words for no."""


def value_types() -> Any:
    """Return tyro's registry of our own types: "128,64" for whole numbers, "auto" beside a number."""
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    @registry.primitive_rule
    def whole_numbers(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        item, *rest = typing.get_args(info.type) or (None,)
        bounded = typing.get_args(item) or (item,)  # Annotated[int, Ge(1)], or int
        if typing.get_origin(info.type) is not tuple or rest != [...] or bounded[0] is not int:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="INT,INT,...",
            instance_from_str=lambda words: tuple(int(part) for part in words[0].split(",")),
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: [",".join(map(str, value))],
        )

    @registry.primitive_rule
    def number_or_switch(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        if info.type != bool | int:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="{auto,none}|INT",
            instance_from_str=lambda words: _number_or_switch(words[0]),
            is_instance=lambda value: isinstance(value, int),
            str_from_instance=lambda value: [
                {True: "auto", False: "none"}[value] if isinstance(value, bool) else str(value)
            ],
        )

    return registry


def _number_or_switch(word: str) -> bool | int:
    folded = word.casefold()
    return folded in YES if folded in (*YES, *NO) else int(word)
