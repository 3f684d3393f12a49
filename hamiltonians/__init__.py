"""Hamiltonians of electrons: molecules, FCIDUMP files, lattices and what other packages hold.

Nothing here needs PySCF, OpenFermion or NetKet until a function that uses them is called, so a saved
system can be loaded and solved without them. The public names stand in `__init__.pyi`.
"""

import contextlib
import os
from pathlib import Path

import lazy_loader

# PySCF executes a file .pyscf_conf.py of the current folder when it is imported, whoever put it there, unless
# another file is named. Here that is the user's own, or a module that does nothing.
if not Path(os.environ.get("PYSCF_CONFIG_FILE", "")).is_file():
    _own = Path.home() / ".pyscf_conf.py"
    os.environ["PYSCF_CONFIG_FILE"] = str(
        _own if _own.is_file() else Path(__file__).parent / "molecule" / "__init__.py"
    )

# Numba takes settings from a file of the current folder, too, at every compilation: among them the folder of
# its programs, which are pickles, and classes to be imported.
if Path(".numba_config.yaml").exists():
    with contextlib.chdir(os.sep):
        from numba.core import config as _numba
    _numba._config_fname = os.devnull

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
