"""The command line: `nnbf molecule N2 --basis sto-3g` and its siblings."""

from nnbf.cli.main import main

__all__ = ["main"]
