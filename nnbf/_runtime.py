"""Precision of JAX, the environment of libraries, threads of processes and their end with their parent."""

import _thread
import contextlib
import gc
import importlib
import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from pathlib import Path
from types import ModuleType
from typing import Any

from hamiltonians.errors import InputError

BEFORE_COMMANDS: list[str] = []
"""Words between the program and its commands that this process was begun with: those that name plug-ins."""
OWNED: list[bool] = []
"""Holds something where the process is the program's own, not that of a notebook or a test."""
PARENT_PIPE = "NNBF_PARENT_PIPE"
"""Variable with the number of an inherited pipe: its other end is held by the process that began this one."""
_PATIENCE = 5.0  # seconds for a process whose parent has died


def enable_double_precision() -> None:
    """Let JAX use 64-bit numbers: energies to 1e-8 Hartree need them."""
    import jax

    jax.config.update("jax_enable_x64", True)


def prepare_process(before_devices: Callable[[], object] = lambda: None) -> None:
    """Settle what libraries read from the environment when they are loaded: for programs, not for notebooks.

    Args:
        before_devices: Called before JAX looks for devices.

    Raises:
        InputError: JAX is to use a kind of device that is not there.
    """
    # Pictures become files: the back end of the notebook that the program is started from is of no use.
    os.environ["MPLBACKEND"] = "agg"
    # Anybody may have written the folder that we are called in: its matplotlibrc may have LaTeX run.
    if Path("matplotlibrc").exists():
        with contextlib.chdir(os.sep):
            import matplotlib  # noqa: F401
    os.environ.update(import_environment())
    before_devices()
    wanted = os.environ.get("JAX_PLATFORMS", "")
    if wanted in ("", "cpu"):
        return
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"JAX_PLATFORMS is {wanted[:60]!r}, and JAX finds no such device here: unset it, or set it to cpu"
        ) from error


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import inside without looking for garbage in between: a sixth of the time, and there is none.

    A process of the program's own does not look among the imported objects later on, either.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if OWNED:
                gc.freeze()
            gc.enable()


def load_netket() -> None:
    """Import NetKet, where nothing has done so yet, without what calculations have no use for.

    The graphs want the windows of Matplotlib for pictures of their own, and do without where there are none:
    they take longer to import than NetKet. Its experimental part, which solves differential equations, is
    loaded when it is asked for.
    """
    if "netket" in sys.modules:
        return
    with quick_imports():
        if not {"igraph", "matplotlib"} & {*sys.modules}:
            sys.modules["matplotlib"] = None  # type: ignore[assignment]
            try:
                with contextlib.suppress(ImportError):  # NetKet says so itself
                    import igraph  # noqa: F401
            finally:
                del sys.modules["matplotlib"]
        _load_when_asked("netket", "experimental")
        import netket  # noqa: F401


def _load_when_asked(package: str, part: str) -> None:
    """Let a package that is imported later have a part that is imported when something of it is wanted."""
    name = f"{package}.{part}"
    found = importlib.util.find_spec(package)
    places = [os.path.join(place, part) for place in (found and found.submodule_search_locations) or ()]
    stand_in = ModuleType(name)
    stand_in.__path__ = places  # modules below it can be imported without it

    def loaded(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    vars(stand_in)["__getattr__"] = loaded
    sys.modules[name] = stand_in


def import_environment() -> dict[str, str]:
    """Return the variables that keep processes begun here from importing files of the current folder.

    Python puts that folder in front of all others for `python -m` and `python -c`, and so for workers of
    multiprocessing. Where this program was begun in that way itself, there are none.
    """
    with contextlib.suppress(OSError):  # the folder is gone
        if {"", os.getcwd()} & {*sys.path}:
            return {}
    return {"PYTHONSAFEPATH": "1"}


def threads_environment(threads: int) -> dict[str, str]:
    """Return the variables that keep a process to so many threads; those that are set already are kept."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NNBF_NUM_THREADS")
    found = {name: str(threads) for name in names if name not in os.environ}
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1 and "multi_thread_eigen" not in flags:
        found["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=false {flags}".strip()
    return found


def when_closed(descriptor: int, act: Callable[[], object]) -> None:
    """Call a function, in a thread, when nobody holds the other end of a pipe any more.

    A process that is killed tells nobody, but its files are closed, on every system.

    Args:
        descriptor: The end to read from; nothing is ever written.
        act: What to call.
    """

    def watch() -> None:
        connection.wait([descriptor])
        act()

    threading.Thread(target=watch, daemon=True).start()


def stop_with_parent() -> None:
    """Ask this process to stop, as SIGTERM does, when the one that began it has died; see `PARENT_PIPE`.

    A few seconds later it ends at once: files are whole at any moment, and nobody waits for its result.
    """

    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE)
        os._exit(1)

    given = os.environ.pop(PARENT_PIPE, "")
    if given.isdecimal():
        when_closed(int(given), end)


def repeat_lost_interrupts() -> None:
    """Let a Ctrl-C come again that a callback of a library has swallowed: Python prints and forgets it."""
    before = sys.unraisablehook

    def hook(what: "sys.UnraisableHookArgs") -> None:
        if what.exc_type is KeyboardInterrupt:
            threading.Timer(0.05, _thread.interrupt_main).start()
        else:
            before(what)

    sys.unraisablehook = hook
