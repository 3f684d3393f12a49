"""Markdown for the reference pages, made from the program itself while the pages are built.

A line `<!-- generated: WHAT [NAME] -->` of a page is replaced by what `expand` makes of it:

    commands              all commands with a line each
    command NAME          usage, options and examples, as `nnbf NAME --help` prints them
    manifest              the tables of a manifest and the commands it can run
    manifest-options NAME the keys that points of this command may have
    analysis-keys         the keys of its table [analysis]
    table-columns         the columns of a sweep's table
    module NAME           the public names of a module, with their docstrings
"""

import contextlib
import inspect
import io
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

MARK = re.compile(r"^<!-- generated: ([\w-]+)(?: ([\w.]+))? -->$", re.MULTILINE)
OUTSIDE = re.compile(r"\[([^]\[`]+)\]\(((?:\.\./)+(?:benchmarks/|CHANGELOG|README)[^)#]*\.md)\)")
SPECIAL = re.compile(r"([\\*<|\[\]])")
NARROW = "100"  # tyro sets wider help texts in two columns


class Option(NamedTuple):
    """An entry of a help text."""

    words: str
    """As typed: "--seed INT"."""
    text: str
    """What it does, with the default."""


class Group(NamedTuple):
    """Options under one head."""

    head: str
    options: tuple[Option, ...]


class Help(NamedTuple):
    """The parts of a help text."""

    usage: str
    description: str
    groups: tuple[Group, ...]
    examples: tuple[str, ...]


def expand(text: str) -> str:
    """Return a page with its marked lines replaced."""
    return MARK.sub(lambda mark: _generated(mark[1], mark[2]), text)


def with_downloads(text: str) -> str:
    """Let links to Markdown files outside the pages be downloads of these files."""
    return OUTSIDE.sub(r"{download}`\1 <\2>`", text)


def _generated(what: str, name: str | None) -> str:
    makers: dict[str, Any] = {
        "commands": commands,
        "command": command,
        "manifest": manifest,
        "manifest-options": manifest_options,
        "analysis-keys": analysis_keys,
        "table-columns": table_columns,
        "module": module,
    }
    if what not in makers:
        raise ValueError(f"a page asks for {what!r}; known are {', '.join(makers)}")
    return makers[what](name) if name else makers[what]()


# ---- commands ----------------------------------------------------------------------------------


def help_of(name: str) -> Help:
    """Return the help text of a command in parts."""
    from nnbf.cli import main

    written = io.StringIO()
    with mock.patch.dict(os.environ, COLUMNS=NARROW), contextlib.redirect_stdout(written):
        if main([name, "--help"]) != 0:
            raise ValueError(f"nnbf {name} --help failed")
    return read_help(written.getvalue())


def read_help(text: str) -> Help:
    """Take a help text apart.

    Raises:
        ValueError: It does not look as expected.
    """
    body, _, examples = text.partition("\nexamples:\n")
    lines = body.splitlines()
    rules = [i for i, line in enumerate(lines) if re.fullmatch(r" -+", line)]
    if not rules or not lines[0].startswith("usage: "):
        raise ValueError("a help text is not understood: tyro has changed its layout")
    ends = [rule - 1 for rule in rules[1:]] + [len(lines)]
    groups = [
        Group(_joined(lines[rule - 1 : rule]), tuple(_options(lines[rule + 1 : end])))
        for rule, end in zip(rules, ends, strict=True)
    ]
    blank = lines.index("")
    return Help(
        usage=_joined(lines[:blank]).removeprefix("usage: "),
        description="\n".join(line.strip() for line in lines[blank + 1 : rules[0] - 1]).strip(),
        groups=tuple(group for group in groups if group.head != "options"),  # --help alone
        examples=tuple(line.strip() for line in examples.splitlines() if line.strip()),
    )


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _options(lines: list[str]) -> Iterator[Option]:
    words, texts = "", []
    for line in [*lines, "  end"]:
        start = re.match(r"  (\S.*?)(?:  +(\S.*))?$", line)
        if start is None:
            texts.append(line)
            continue
        if words:
            yield Option(words, _joined(texts))
        words, texts = start[1], [start[2] or ""]


def commands() -> str:
    """All commands with a line each."""
    from nnbf.cli.main import COMMANDS

    rows = [
        (f"[`nnbf {name} {entry.usage}`](#nnbf-{name})".replace("|", r"\|"), _plain(entry.summary))
        for name, entry in COMMANDS.items()
    ]
    return _table(("command", ""), rows)


def command(name: str) -> str:
    """Usage, options and examples of one command."""
    shown = help_of(name)
    parts = [f"```text\n{shown.usage}\n```", _plain(shown.description)]
    for group in shown.groups:
        rows = [(_code(option.words), _plain(_short_default(option.text))) for option in group.options]
        parts += [f"**{_plain(group.head)}**", _table(("option", ""), rows)]
    if shown.examples:
        parts.append("```text\n" + "\n".join(shown.examples) + "\n```")
    return "\n\n".join(parts)


def _short_default(text: str) -> str:
    return re.sub(r" *\((default: (?:''|False)|required)\)$", "", text)


# ---- manifests ---------------------------------------------------------------------------------


def manifest() -> str:
    """The tables of a manifest and the commands that it can run."""
    from nnbf.cli.sweep import vocabularies
    from nnbf.sweep.manifest import SECTIONS

    tables = ", ".join(f"`{name}`" for name in SECTIONS)
    names = ", ".join(f"[`{name}`](#points-of-nnbf-{name})" for name in vocabularies())
    return f"Tables: {tables}. Values of `command`: {names}."


def manifest_options(name: str) -> str:
    """The keys that points of one command may have."""
    from nnbf.cli.sweep import vocabularies

    texts = {
        word: _short_default(option.text)
        for group in help_of(name).groups
        for option in group.options
        for word in option.words.replace(",", " ").split()
    }
    rows = []
    for option in vocabularies()[name].options.values():
        key = option.name.replace("_", "-")
        written = option.name.upper() if option.required else option.flag
        rows.append((_code(key), _plain(option.wanted), _plain(texts[written])))
    return _table(("key", "value", ""), rows)


def analysis_keys() -> str:
    """The keys of a manifest's table [analysis]."""
    from sphinx.pycode import ModuleAnalyzer

    from nnbf.sweep import analysis_options

    documented = ModuleAnalyzer.for_module(analysis_options.__name__).find_attr_docs()
    kind = analysis_options.AnalysisOptions
    rows = [
        (
            _code(field.name),
            _plain(_written(field.default)),
            _plain(" ".join(documented[kind.__name__, field.name])),
        )
        for field in fields(kind)
    ]
    lists = [
        f"* `{name}`: {', '.join(map(_code, getattr(analysis_options, name)))}"
        for name in ("ANALYSES", "QUANTITIES", "SIZES")
    ]
    return "\n\n".join([_table(("key", "default", ""), rows), "\n".join(lists)])


def _written(value: Any) -> str:
    if value is None:
        return ""
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`"


def table_columns() -> str:
    """The columns of a sweep's table."""
    from nnbf.sweep.names import RESULT_COLUMNS, TIME_COLUMNS

    shown = {"sweep.csv": RESULT_COLUMNS, "timings.csv": TIME_COLUMNS}
    return "\n".join(
        f"* `{file}`: the coordinates, then {', '.join(map(_code, columns))}"
        for file, columns in shown.items()
    )


# ---- Python names ------------------------------------------------------------------------------


def module(name: str) -> str:
    """The public names of a module: a table, and autodoc's directives for those that are its own."""
    found = import_module(name)
    rows, blocks = [], []
    for public in public_names(found):
        thing = getattr(found, public)
        rows.append((f"{{py:obj}}`~{name}.{public}`", _plain(_first_line(thing))))
        if _is_own(name, public, thing):
            blocks.append(_autodoc(f"{name}.{public}", thing))
    summary = _plain(_first_line(found))
    directives = "```{eval-rst}\n.. py:module:: " + name + "\n\n" + "\n\n".join(blocks) + "\n```"
    return "\n\n".join([summary, _table(("name", ""), rows), directives])


def public_names(found: ModuleType) -> list[str]:
    """Return `__all__`, or the functions and classes that a module defines."""
    names = getattr(found, "__all__", None)
    if names is not None:
        return list(names)
    return [
        name
        for name, thing in vars(found).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isroutine(thing))
        and getattr(thing, "__module__", "") == found.__name__
    ]


def _is_own(name: str, public: str, thing: Any) -> bool:
    import nnbf

    return name == "nnbf" or public not in nnbf.__all__ or getattr(nnbf, public) is not thing


def _autodoc(path: str, thing: Any) -> str:
    if inspect.isclass(thing):
        return f".. autoclass:: {path}\n   :members:"
    if inspect.isroutine(inspect.unwrap(thing)):
        return f".. autofunction:: {path}"
    return f".. autodata:: {_defined_at(path)}\n   :no-value:"


def _defined_at(path: str) -> str:
    """Return the path of a constant in the module that assigns and describes it."""
    from sphinx.pycode import ModuleAnalyzer

    package, _, name = path.rpartition(".")
    for module_name in sorted(sys.modules):
        inside = module_name.startswith(f"{package}.") and hasattr(sys.modules[module_name], name)
        if inside and ("", name) in ModuleAnalyzer.for_module(module_name).find_attr_docs():
            return f"{module_name}.{name}"
    return path


def _first_line(thing: Any) -> str:
    described = inspect.ismodule(thing) or inspect.isclass(thing) or inspect.isroutine(inspect.unwrap(thing))
    text = inspect.getdoc(thing) if described else ""
    line = (text or "").partition("\n\n")[0].replace("\n", " ")
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", line).replace("``", "`")


# ---- Markdown ----------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Return text whose characters mean nothing to Markdown; code in backticks stays code."""
    parts = text.split("`")
    return "`".join(part if i % 2 else SPECIAL.sub(r"\\\1", part) for i, part in enumerate(parts))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|")


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
