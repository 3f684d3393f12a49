"""The project's own machinery: the search for a Python, and which module may import what."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / ".ci" / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path, monkeypatch) -> ModuleType:
    """The set-up script as a module, with its private folder moved to a temporary one."""
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PRIVATE", tmp_path / "private folder")
    return module


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    """A user's environment with two empty folders on the PATH and an empty home."""
    folders = [tmp_path / "first bin", tmp_path / "second bin", tmp_path / "home"]
    for folder in folders:
        folder.mkdir()
    return {"PATH": os.pathsep.join(map(str, folders[:2])), "HOME": str(folders[2])}


def fake(path: Path, body: str) -> str:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def fake_python(path: Path, version: tuple[int, int]) -> str:
    """Write a script that answers the probe as a Python of this version would."""
    return fake(path, f"echo 'python {version[0]} {version[1]} {path}'")


def test_script_needs_no_newer_syntax_than_python_3_9():
    ast.parse(SCRIPT.read_text(), feature_version=(3, 9))


def test_probe_tells_the_running_python(bootstrap):
    found = bootstrap.probe(sys.executable)
    assert found.version == sys.version_info[:2]
    assert found.supported


def test_path_comes_in_order_of_preference(bootstrap, environ, tmp_path):
    fake_python(tmp_path / "first bin" / "python3", (3, 13))
    fake_python(tmp_path / "first bin" / "python3.13", (3, 13))
    wanted = fake_python(tmp_path / "second bin" / "python3.12", (3, 12))
    fake_python(tmp_path / "home/.pyenv/versions/3.12.9/bin/python", (3, 12))
    assert bootstrap.find_interpreter(environ, allow_uv=False).executable == wanted


def test_dead_shim_does_not_hide_a_python_further_on(bootstrap, environ, tmp_path):
    fake(tmp_path / "first bin" / "python3.12", "echo 'version not set' >&2; exit 127")
    wanted = fake_python(tmp_path / "second bin" / "python3.12", (3, 12))
    assert bootstrap.find_interpreter(environ, allow_uv=False).executable == wanted


@pytest.mark.parametrize("version", [(3, 9), (3, 11), (3, 15)])
def test_unsupported_python_on_path_leads_to_pyenv(bootstrap, environ, tmp_path, version):
    fake_python(tmp_path / "first bin" / "python3", version)
    versions = tmp_path / "home" / ".pyenv" / "versions"
    for name, minor in {"3.11.9": 11, "3.13.2": 13, "3.12.4": 12, "3.12.10": 12, "3.12.99-dev": 12}.items():
        fake_python(versions / name / "bin" / "python", (3, minor))
    found = bootstrap.find_interpreter(environ, allow_uv=False)
    assert found.executable == str(versions / "3.12.10" / "bin" / "python")


@pytest.mark.parametrize("route", ["variable", "command"])
def test_pyenv_elsewhere(bootstrap, environ, tmp_path, route):
    root = tmp_path / "another pyenv"
    wanted = fake_python(root / "versions/3.13.0/bin/python", (3, 13))
    if route == "variable":
        environ["PYENV_ROOT"] = str(root)
    else:
        fake(tmp_path / "second bin" / "pyenv", f"echo '{root}'")
    assert bootstrap.find_interpreter(environ, allow_uv=False).executable == wanted


def test_uv_is_asked_last(bootstrap, environ, tmp_path):
    fake_python(tmp_path / "first bin" / "python3", (3, 11))
    wanted = fake_python(tmp_path / "managed" / "python3.12", (3, 12))
    fake(tmp_path / "second bin" / "uv", f"[ \"$2\" = find ] && echo '{wanted}'")
    assert bootstrap.find_interpreter(environ).executable == wanted


def test_uv_installs_inside_the_checkout(bootstrap, environ, tmp_path):
    private = tmp_path / "private folder" / "python"
    answers = 'echo "python 3 12 $0"'
    fake(
        tmp_path / "first bin" / "uv",
        f'python="{private}/python3.12"\n'
        'if [ "$2" = install ]; then\n'
        '  [ "$UV_PYTHON_INSTALL_DIR" = "${python%/*}" ] || exit 1\n'
        f"  /bin/mkdir -p \"${{python%/*}}\"; printf '#!/bin/sh\\n%s\\n' '{answers}' > \"$python\"\n"
        '  /bin/chmod +x "$python"\n'
        'else [ -f "$python" ] && echo "$python"; fi',
    )
    assert bootstrap.find_interpreter(environ).executable == str(private / "python3.12")


def test_one_line_says_what_was_tried(bootstrap, environ, tmp_path):
    fake_python(tmp_path / "first bin" / "python3", (3, 11))
    fake(tmp_path / "second bin" / "uv", "echo 'no route to host' >&2; exit 1")
    with pytest.raises(bootstrap.SetupError) as caught:
        bootstrap.find_interpreter(environ)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("only Python 3.11", "pyenv (", "uv (fetching Python 3.12", "python3.12-venv", "PYTHON="):
        assert part in message


def test_named_python_must_be_supported(bootstrap, tmp_path):
    old = fake_python(tmp_path / "python3.11", (3, 11))
    with pytest.raises(bootstrap.SetupError, match=r"is Python 3\.11.*give Python 3\.12 to 3\.14"):
        bootstrap.named_interpreter(old)
    with pytest.raises(bootstrap.SetupError, match="does not run"):
        bootstrap.named_interpreter(str(tmp_path / "missing"))


def test_failing_command_shows_its_output(bootstrap, tmp_path, capfd):
    command = fake(tmp_path / "tool", "echo 'the reason'; exit 3")
    with pytest.raises(bootstrap.SetupError, match=r"doing it failed \(exit status 3\).*setup\.log"):
        bootstrap.run_logged([command], tmp_path / "setup.log", "doing it")
    assert "the reason" in capfd.readouterr().err


def test_folder_in_the_way_is_not_removed(bootstrap, tmp_path):
    venv = tmp_path / ".venv"
    venv.mkdir()
    (venv / "thesis.tex").write_text("years of work")
    with pytest.raises(bootstrap.SetupError, match="not a virtual environment"):
        bootstrap.make_venv(bootstrap.probe(sys.executable), venv)
    assert (venv / "thesis.tex").exists()


def test_every_module_imports_without_pyscf_and_openfermion():
    program = """
import importlib, pkgutil, sys
sys.modules.update(pyscf=None, openfermion=None)
def stop(name):
    raise
for name in ("nnbf", "hamiltonians"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}.", onerror=stop):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
    environ = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_import_rules():
    """Layers, netket.experimental behind one module, PySCF and OpenFermion inside functions."""
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID", "nnbf", "hamiltonians"]
    layers = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    for command in (ruff, layers):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
