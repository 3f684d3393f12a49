"""Fixtures of the command line, for the reports that are made from its folders."""

from tests.cli.conftest import built, here, refused, run_folder, solver, system  # noqa: F401
