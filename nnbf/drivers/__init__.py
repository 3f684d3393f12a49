"""Calculations: one call for molecules and lattices, the drivers behind it, and their supervision.

Names are loaded on first use: options can be read, and refused, without waiting for NetKet.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
