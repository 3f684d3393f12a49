"""The pages: links and pictures exist, every page is listed, the reference leaves nothing out."""

import importlib.util
import pkgutil
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CODE = re.compile(r"^(```+).*?^\1$|`[^`\n]+`|^ {4}.*?$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
GENERATED = re.compile(r"<!-- generated: ([\w-]+)(?: ([\w.]+))? -->")


def load(name: str) -> ModuleType:
    """Import a script of docs/."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return load("generate")


@pytest.fixture(scope="module")
def tutorial() -> ModuleType:
    return load("run_tutorial")


def anchors(page: Path) -> set[str]:
    """Names that Git hosts and myst-parser give the headings of a page."""
    text = re.sub(r"^(```+).*?^\1$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    found = []
    for target in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_exist(page):
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One head\n[a](#one-head) [b](#two) ![c](no.png) `[d](no.md)`\n\n    [e](no.md)\n")
    assert broken_links(page) == ["#two", "no.png"]


def test_every_page_is_in_a_list_of_contents():
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {page.parent / f"{name}.md" for name in names}
    assert sorted(listed) == PAGES


def test_every_command_with_every_option_is_described(generate):
    from nnbf.cli.main import COMMANDS

    page = (DOCS / "reference" / "commands.md").read_text()
    assert {name for what, name in GENERATED.findall(page) if what == "command"} == set(COMMANDS)
    overview = generate.commands()
    assert all(
        f"(#nnbf-{name})" in overview and f"nnbf-{name}" in anchors(DOCS / "reference" / "commands.md")
        for name in COMMANDS
    )


@pytest.mark.parametrize("name", ["molecule", "fcidump", "lattice", "spectrum"])
def test_every_option_is_described(generate, name):
    from nnbf.cli.sweep import vocabularies

    shown, keys = generate.command(name), generate.manifest_options(name)
    for option in vocabularies()[name].options.values():
        assert re.search(rf"\| `(?:{option.flag}\b|{option.name.upper()}`)", shown), option.name
        assert f"| `{option.name.replace('_', '-')}` | " in keys
    assert "--out" in shown
    assert "```text\nnnbf " in shown
    assert "| `--seed INT` |" in shown
    assert "default: 0" in shown


def test_help_that_is_laid_out_otherwise_is_refused(generate):
    with pytest.raises(ValueError, match="not understood"):
        generate.read_help("usage: nnbf molecule\n\nOptions:\n  --seed INT  Seed.\n")


def test_pages_name_every_public_module(generate):
    import nnbf

    asked = {name for page in PAGES for what, name in GENERATED.findall(page.read_text()) if what == "module"}
    packages = {
        f"nnbf.{found.name}"
        for found in pkgutil.iter_modules(nnbf.__path__)
        if found.ispkg and not found.name.startswith("_") and found.name != "cli"
    }
    assert packages | {"nnbf", "hamiltonians"} <= asked
    for name in asked:
        assert generate.public_names(import_module(name)), name


def test_names_of_a_module_are_listed_once(generate):
    text = generate.module("nnbf.drivers")
    assert "{py:obj}`~nnbf.drivers.supervise`" in text
    assert ".. autofunction:: nnbf.drivers.supervise" in text
    assert "{py:obj}`~nnbf.drivers.solve`" in text
    assert "autofunction:: nnbf.drivers.solve\n" not in text  # described as nnbf.solve
    assert ".. autodata:: nnbf.drivers.monitor.Snapshot" in text


def test_commands_of_the_tutorial_are_those_of_the_program(tutorial):
    from nnbf.cli.main import COMMANDS

    steps = list(tutorial.read_steps((DOCS / "tutorial.md").read_text()))
    words = [step.command.split() for step in steps if step.command]
    assert {word[1] for word in words if word[0] == "nnbf"} >= set(COMMANDS) - {"fcidump", "solve", "devices"}
    files = {step.file for step in steps if step.file}
    assert {word[1] for word in words if word[0] == "python"} <= files


@pytest.mark.parametrize(("page", "file"), [("own_hamiltonian", "heisenberg"), ("own_ansatz", "transformer")])
def test_pages_about_own_files_show_the_files_that_are_tested(tutorial, page, file):
    steps = list(tutorial.read_steps((DOCS / f"{page}.md").read_text()))
    (shown,) = [step.text for step in steps if step.file == f"{file}.py"]
    assert shown == tuple((DOCS / "examples" / f"{file}.py").read_text().splitlines())
    assert len([line for line in shown if line.strip()]) <= 40
    commands = [step.command for step in steps if step.command]
    for verb in (
        ("solve", "resume", "evaluate") if file == "heisenberg" else ("molecule", "lattice", "evaluate")
    ):
        assert any(f" {verb} " in command for command in commands)


def test_the_public_page_has_every_name():
    import nnbf

    page = (DOCS / "api.md").read_text()
    assert [name for name in nnbf.__all__ if not re.search(rf"nnbf\.{name}\b", page)] == []
    assert all(getattr(nnbf, name) is not None for name in nnbf.__all__)
    assert len(nnbf.__all__) <= 30


PAGE = """
Write this to `a/x.py`:

```python
print("E -1.00005 t,", 3, "steps in 0.2 s")
```

```console
$ python a/x.py
...
E -1.0 t, 3 steps in … s
$ echo one; \\
> echo two
one
two
```
"""


def test_page_is_run_as_written(tutorial, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert tutorial.run_page(page, tmp_path)
    page.write_text(PAGE.replace("-1.0 t", "-1.0003 t"))
    assert not tutorial.run_page(page, tmp_path)
    page.write_text(PAGE.replace("echo two", "exit 3"))
    assert not tutorial.run_page(page, tmp_path)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a 1.0001"], ["a 1.0002"], True),
        (["a 1.0"], ["a 1.001"], False),
        (["3 steps"], ["4 steps"], False),
        (["14,400 x"], ["14,400 x"], True),
        (["a", "...", "c"], ["a", "b", "", "c"], True),
        (["a", "c"], ["a", "b", "c"], False),
        (["a"], ["a", "b"], False),
        (["a", "..."], ["a", "b"], True),
        (["..."], [], True),
        ([], ["anything"], True),
        (["E -107.66… x"], ["E -107.6602 x"], True),
        (["E -107.66… x"], ["E -107.6502 x"], False),
        (["E -1.6… +1… x"], ["E -1.6602 +14.2 x"], True),
        (["E -1.6… +1… x"], ["E -1.6602 +24.2 x"], False),
        (["N2 4x4 1e-9"], ["N2 4x4 2e-9"], True),
        (["N2 4x4"], ["N2 4x2"], False),
    ],
)
def test_what_is_shown_is_compared(tutorial, shown, printed, same):
    assert (tutorial.first_difference(shown, printed) is None) == same
