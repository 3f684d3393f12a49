"""Sphinx configuration: `make docs` builds the pages, and every warning is an error."""

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from generate import expand, with_downloads  # noqa: E402

import nnbf  # noqa: E402

project = "nnbf"
version = release = nnbf.__version__
project_copyright = "the nnbf developers, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["images"]

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]

html_theme = "furo"
html_title = f"nnbf {version}"
html_copy_source = False
maximum_signature_line_length = 100

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Names in single backticks become links where they are known, and code elsewhere.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r"(?!nnbf\.|hamiltonians\.).*"),
    # Annotations name types of other packages, and those that only type checkers see.
    ("py:class", r"(?!nnbf\.|hamiltonians\.).*"),
    ("py:data", r"typing\..*"),
]

# Short names in annotations and backticks may be those of several objects.
suppress_warnings = ["ref.python"]

LITERAL = re.compile(r"(``.+?``|:[\w:]+:`[^`]+`|`[^`]+`)")


def escape_docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let |psi|, c*, c+_i and the like stand in docstrings as they are."""
    if what in ("attribute", "property", "data"):
        lines[:0] = ["..", ""]  # else napoleon takes what stands before a colon for a type
    depth: int | None = None  # of a directive or literal block, which is left alone
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if depth is not None and indent > depth:
            continue
        depth = None
        if line.lstrip().startswith(".. ") or line.rstrip().endswith("::"):
            depth = indent
            continue
        parts = LITERAL.split(line)
        parts[::2] = [re.sub(r"([|*])|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
        lines[i] = "".join(parts)


def expand_page(app: Any, name: str, source: list[str]) -> None:
    """Put in what is generated."""
    source[0] = with_downloads(expand(source[0]))


def find_public_name(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Link a name that is imported from where it is defined, or described under another of its names."""
    if node.get("refdomain") != "py":
        return None
    thing = imported(node["reftarget"])
    if thing is None:
        return None
    path = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
    domain = env.domains["py"]
    if path not in domain.objects:
        return content  # it exists, but has no page
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", path, node, content)


def imported(path: str) -> Any:
    """Return what a dotted path of this project names, or None."""
    if not path.startswith(("nnbf.", "hamiltonians.")):
        return None
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing: Any = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            thing = getattr(thing, part, None)
        return thing
    return None


def setup(app: Any) -> None:
    """Connect all that."""
    app.connect("source-read", expand_page)
    app.connect("missing-reference", find_public_name)
    app.connect("autodoc-process-docstring", escape_docstring, priority=400)  # before napoleon
