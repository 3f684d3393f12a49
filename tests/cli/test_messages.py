"""Messages name fields below the command line, and flags in it."""

import ast
import re
from pathlib import Path

import pytest

import nnbf
from nnbf._text import typed
from nnbf.cli.commands import SolveLattice, SolveMolecule
from nnbf.cli.parsing import option_fields, with_flags

ROOT = Path(nnbf.__file__).parent
FLAG = re.compile(r"(?:^|[\s('\"])--[a-z]")
COMMAND = re.compile(r"'nnbf [a-z]")
OTHER_PROGRAMS = ("sweep/", "_runtime.py", "runs/process.py")
"""Modules that start programs, with their flags."""


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("n_samples must be at least 16, got 3", "--n-samples must be at least 16, got 3"),
        ("give more n_samples, or a smaller max_space", "give more --n-samples, or a smaller --max-space"),
        ("give basis sto-3g, or leave out charge", "give --basis sto-3g, or leave out --charge"),
        ("the basis has a charge", "the basis has a charge"),
        ("optimizer must be one of auto, sgd", "--optimizer must be one of auto, sgd"),
        ("options.toml: n_samples must be at least 16", "options.toml: n_samples must be at least 16"),
        ("cannot read runs/max_space/x.npz", "cannot read runs/max_space/x.npz"),
        ("no molecule given", "no molecule given"),
        ("ended before it converged ('max_steps')", "ended before it converged ('max_steps')"),
    ],
)
def test_fields_become_flags(message, shown):
    assert with_flags(message, option_fields(SolveMolecule)) == shown


def test_fields_of_lattices_become_flags():
    fields = option_fields(SolveLattice)
    assert with_flags("Hartree-Fock: give cell 4,4", fields) == "Hartree-Fock: give --cell 4,4"


def test_commands_are_quoted_for_a_shell():
    assert typed("resume", "my runs/a") == "'nnbf resume 'my runs/a''"


def modules():
    return [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] != "cli"]


def texts(tree):
    """Yield the texts of a module, without docstrings."""
    described = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.lineno, node.value


def test_no_flags_and_no_commands_below_the_command_line():
    found = []
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            if (FLAG.search(text) and not name.startswith(OTHER_PROGRAMS)) or COMMAND.search(text):
                found.append(f"{name}:{line}: {text}")
    assert not found, "\n".join(["name the field, or use nnbf._text.typed:", *found])
