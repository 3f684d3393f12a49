"""Make this checkout's virtual environment: find a Python, create .venv, install the pinned packages.

Called by the Makefile; runs under any Python from 3.9 on and needs nothing but pip. The Python that
the project itself needs is newer, and is looked for in three places, in this order: the PATH, the
versions that pyenv holds, and uv (which can download one, and is fetched first where it is missing).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 12), (3, 14)  # every package in constraints.txt has a wheel for these
SUPPORTED = [f"{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
PATH_NAMES = [*(f"python{version}" for version in SUPPORTED), "python3", "python"]
PRIVATE = ROOT / ".venv-bootstrap"  # uv, a Python that uv downloads, virtualenv
PROBE_SECONDS, DOWNLOAD_SECONDS = 30, 3600


class SetupError(Exception):
    """The environment cannot be made; the message says why and what to do."""


class Interpreter(NamedTuple):
    """A Python that was run and answered."""

    executable: str
    version: tuple[int, int]

    @property
    def supported(self) -> bool:
        """Whether the project and its pinned packages run on it."""
        return OLDEST <= self.version <= NEWEST

    def __str__(self) -> str:
        return f"Python {self.version[0]}.{self.version[1]} ({self.executable})"


def say(text: str) -> None:
    """Print one progress line."""
    print(f"[setup] {text}", flush=True)


def ask(command: list[str], environ: dict[str, str] | None = None) -> str | None:
    """What a command prints; None where it does not run, fails, or takes too long."""
    try:
        answer = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def probe(command: str) -> Interpreter | None:
    """Run a Python and ask who it is; None where it does not answer (say a pyenv shim without a version)."""
    # Inside a virtual environment, the Python beneath it: the environment may be the one to be replaced.
    question = (
        "import sys; print('python', sys.version_info[0], sys.version_info[1], "
        "getattr(sys, '_base_executable', '') or sys.executable)"
    )
    answer = ask([command, "-I", "-c", question])
    match = re.search(r"^python (\d+) (\d+) (.+)$", answer or "", re.MULTILINE)
    if match is None:
        return None
    return Interpreter(match.group(3), (int(match.group(1)), int(match.group(2))))


def on_path(environ: dict[str, str]) -> Iterator[str]:
    """Commands on the PATH that may be a suitable Python, of every folder: the first may be a dead shim."""
    folders = [Path(entry) for entry in environ.get("PATH", "").split(os.pathsep) if entry]
    for name in PATH_NAMES:
        for folder in dict.fromkeys(folders):
            command = folder / name
            if command.is_file() and os.access(command, os.X_OK):
                yield str(command)


def pyenv_roots(environ: dict[str, str]) -> list[Path]:
    """Folders that may be pyenv's, existing or not."""
    roots = [Path(environ["PYENV_ROOT"])] if environ.get("PYENV_ROOT") else []
    if environ.get("HOME"):
        roots.append(Path(environ["HOME"]) / ".pyenv")
    pyenv = shutil.which("pyenv", path=environ.get("PATH", ""))
    root = ask([pyenv, "root"], environ) if pyenv is not None else None
    if root:
        roots.append(Path(root))
    return list(dict.fromkeys(roots))


def in_pyenv(environ: dict[str, str]) -> Iterator[str]:
    """Suitable Pythons in pyenv's versions folders: oldest minor version first, newest patch first."""
    found = []
    for root in pyenv_roots(environ):
        for python in root.glob("versions/*/bin/python"):
            match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", python.parents[1].name)
            if match is not None:
                major, minor, patch = (int(part) for part in match.groups())
                if OLDEST <= (major, minor) <= NEWEST:
                    found.append((major, minor, -patch, str(python)))
    for *_, command in sorted(found):
        yield command


def pip_environment() -> dict[str, str]:
    """The user's environment, pip's settings included, less what would send packages to another place."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    return {
        **environ,
        "PIP_USER": "0",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def run_logged(command: list[str], log: Path, what: str, environ: dict[str, str] | None = None) -> None:
    """Run a command quietly; where it fails, show the end of its output and raise.

    Args:
        command: The command and its arguments.
        log: File that its output is added to.
        what: What the command does, for the error message ("installing the packages").
        environ: Its environment.

    Raises:
        SetupError: The command failed, could not be started, or took too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = log.stat().st_size if log.exists() else 0
    try:
        with log.open("a") as output:
            status = subprocess.run(
                command,
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=DOWNLOAD_SECONDS,
            ).returncode
        reason = f"exit status {status}"
    except subprocess.TimeoutExpired:
        status, reason = 1, f"no end after {DOWNLOAD_SECONDS} s"
    except OSError as error:
        status, reason = 1, str(error)
    if status != 0:
        tail = log.read_bytes()[start:].decode(errors="replace").splitlines()[-15:]
        print("\n".join(tail), file=sys.stderr)
        raise SetupError(f"{what} failed ({reason}); the full output is in {log.relative_to(ROOT)}")


def install_privately(package: str) -> None:
    """Install a tool into .venv-bootstrap with the pip of the Python that runs this script."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
    command = [*pip, "--target", str(PRIVATE), package]
    run_logged(command, PRIVATE / "setup.log", f"fetching {package} with pip", pip_environment())


def from_uv(environ: dict[str, str]) -> Interpreter:
    """Let uv find or download a Python; uv itself is fetched with pip where there is none.

    Raises:
        SetupError: Neither uv nor a Python could be had.
    """
    home = Path(environ.get("HOME", "/"))
    folders = (environ.get("PATH", ""), home / ".local/bin", PRIVATE / "bin")
    uv = shutil.which("uv", path=os.pathsep.join(map(str, folders)))
    if uv is None:
        say("fetching uv")
        install_privately("uv")
        uv = str(PRIVATE / "bin" / "uv")
    # A downloaded Python stays inside the checkout, and nothing is linked into the user's folders.
    private = {**environ, "UV_PYTHON_INSTALL_DIR": str(PRIVATE / "python"), "UV_PYTHON_INSTALL_BIN": "0"}
    for attempt in (environ, private):
        if attempt is private:
            say(f"fetching Python {SUPPORTED[0]} with uv")
            install = [uv, "python", "install", SUPPORTED[0]]
            run_logged(install, PRIVATE / "setup.log", f"fetching Python {SUPPORTED[0]} with uv", private)
        found = ask([uv, "python", "find", "--system", SUPPORTED[0]], attempt)
        interpreter = probe(found) if found else None
        if interpreter is not None and interpreter.supported:
            return interpreter
    raise SetupError(f"uv has no Python {SUPPORTED[0]} that runs")


def find_interpreter(environ: dict[str, str], allow_uv: bool = True) -> Interpreter:
    """Find a Python for the project: the PATH, then pyenv, then uv.

    Args:
        environ: Environment to search in: PATH, HOME and PYENV_ROOT are read.
        allow_uv: Whether uv may be asked, and fetched.

    Raises:
        SetupError: There is none; one line says what was tried and what to install.
    """
    seen: dict[str, Interpreter | None] = {}
    for command in (*on_path(environ), *in_pyenv(environ)):
        if command not in seen:
            seen[command] = probe(command)
        interpreter = seen[command]
        if interpreter is not None and interpreter.supported:
            return interpreter
    running = [found for found in seen.values() if found is not None]
    others = sorted({found.version for found in running})
    listed = ", ".join(f"{major}.{minor}" for major, minor in others)
    tried = [
        f"the PATH ({'only Python ' + listed if listed else 'no Python that runs'})",
        f"pyenv ({', '.join(map(str, pyenv_roots(environ))) or 'no folder'})",
    ]
    if allow_uv:
        try:
            return from_uv(environ)
        except SetupError as error:
            tried.append(f"uv ({error})")
    raise SetupError(
        f"no Python {SUPPORTED[0]} to {SUPPORTED[-1]} found; tried {', '.join(tried)}. "
        f"Install one (the packages python{SUPPORTED[0]} and python{SUPPORTED[0]}-venv, or: "
        f"pyenv install {SUPPORTED[0]}), or name one: make setup PYTHON=/path/to/python"
    )


def named_interpreter(command: str) -> Interpreter:
    """The Python that the user named.

    Raises:
        SetupError: It does not run, or is not a supported version.
    """
    interpreter = probe(shutil.which(command) or command)
    wanted = f"give Python {SUPPORTED[0]} to {SUPPORTED[-1]}, or leave PYTHON out to have one searched"
    if interpreter is None:
        raise SetupError(f"PYTHON={command} does not run: {wanted}")
    if not interpreter.supported:
        raise SetupError(f"PYTHON={command} is {interpreter}: {wanted}")
    return interpreter


def has_pip(venv: Path) -> bool:
    """Whether a virtual environment runs, is for a supported Python, and can install."""
    interpreter = probe(str(venv / "bin" / "python"))
    if interpreter is None or not interpreter.supported:
        return False
    return ask([str(venv / "bin" / "python"), "-m", "pip", "--version"]) is not None


def make_venv(interpreter: Interpreter, venv: Path) -> None:
    """Create a virtual environment, with virtualenv where the Python comes without venv or ensurepip.

    Raises:
        SetupError: A folder is in the way, or neither tool works.
    """
    if venv.exists() and any(venv.iterdir()):
        if not (venv / "pyvenv.cfg").is_file():
            raise SetupError(f"{venv} holds something that is not a virtual environment: move it away")
        say(f"replacing {venv.name}, which was made for another folder or Python")
        shutil.rmtree(venv)
    say(f"creating {venv.name} with {interpreter}")
    command = [interpreter.executable, "-m", "venv", str(venv)]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=pip_environment())
    if made.returncode != 0 or not has_pip(venv):
        shutil.rmtree(venv, ignore_errors=True)
        say("its venv module is incomplete: fetching virtualenv")
        install_privately("virtualenv")
        virtualenv = [sys.executable, "-m", "virtualenv", "--quiet"]
        command = [*virtualenv, "--python", interpreter.executable, str(venv)]
        environ = {**pip_environment(), "PYTHONPATH": str(PRIVATE)}
        run_logged(command, PRIVATE / "setup.log", "creating the virtual environment", environ)
    (venv / ".checkout").write_text(f"{ROOT}\n")


def install(venv: Path, extra: str) -> None:
    """Install the pinned build backend, then the project (editable) with its pinned dependencies.

    Raises:
        SetupError: pip failed.
    """
    count = sum("==" in line for line in (ROOT / "constraints.txt").read_text().splitlines())
    say(f"installing up to {count} packages (about a minute; output in {venv.name}/setup.log)")
    # Most modules are never imported: those that are get compiled then.
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--no-compile"]
    pip += ["--constraint", "constraints.txt"]
    log = venv / "setup.log"
    run_logged([*pip, "hatchling", "editables"], log, "installing the build backend", pip_environment())
    project = [*pip, "--no-build-isolation", "--editable", f".[{extra}]" if extra else "."]
    run_logged(project, log, "installing the packages", pip_environment())


def set_up(venv: Path, python: str | None, extra: str) -> None:
    """Bring the virtual environment up to date, from whatever state it is in.

    Raises:
        SetupError: It cannot be done.
    """
    marker = venv / ".checkout"
    mine = marker.is_file() and marker.read_text().strip() == str(ROOT)
    if python is not None or not mine or not has_pip(venv):
        make_venv(named_interpreter(python) if python else find_interpreter(dict(os.environ)), venv)
    install(venv, extra)


def fail(text: str) -> NoReturn:
    """Print one error line and stop."""
    print(f"error: {text}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def main() -> None:
    """Parse the command line and set up, or only name the Python that would be used."""
    parser = argparse.ArgumentParser(description="Make this checkout's virtual environment (.venv).")
    parser.add_argument("--python", help="use this Python instead of searching for one")
    parser.add_argument(
        "--extra", default="dev,docs", help="extras of pyproject.toml to install ('' for none)"
    )
    parser.add_argument("--find", action="store_true", help="print the Python that would be used, and stop")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        if options.find:
            print(find_interpreter(dict(os.environ), allow_uv=False).executable)
            return
        set_up(ROOT / ".venv", options.python or None, options.extra)
    except SetupError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; run make again to go on")
    say(f"ready after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
