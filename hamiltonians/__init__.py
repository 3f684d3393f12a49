"""Hamiltonians of electrons: molecules, FCIDUMP files, lattices and what other packages hold.

Nothing here needs PySCF, OpenFermion or NetKet until a function that uses them is called, so a saved
system can be loaded and solved without them. The public names stand in `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
