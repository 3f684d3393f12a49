"""The commands as data: which groups of options each has. Fields are options, their docstrings the help."""

from dataclasses import dataclass, field
from typing import Literal

from nnbf.drivers.options import SolverOptions
from nnbf.rundir.problem import FileProblem, MoleculeProblem


@dataclass(frozen=True)
class RunOptions:
    """Method, files and what is printed."""

    method: Literal["selected"] = "selected"
    """selected: deterministic optimisation on a growing variational space of determinants."""
    out: str | None = None
    """Run folder, new or empty; left out: runs/<molecule>_<basis>_<time>."""
    config: str | None = None
    """TOML file with options; the command line goes before the file, the file before defaults."""
    dry_run: bool = False
    """Show what would be done and how large it is, and write nothing."""
    quiet: bool = False
    """Print only the final table."""


@dataclass(frozen=True)
class SolveMolecule:
    """Compute the ground state of a molecule and compare with HF, MP2, CCSD, CCSD(T) and FCI.

    Energies are in Hartree.
    """

    problem: MoleculeProblem
    """What to solve."""
    solver: SolverOptions = field(default_factory=SolverOptions)
    """How to solve it."""
    run: RunOptions = field(default_factory=RunOptions)
    """Method, files and what is printed."""


@dataclass(frozen=True)
class SolveFile:
    """Compute the ground state of a Hamiltonian in a file: FCIDUMP, or a saved system.

    Energies are in Hartree.
    """

    problem: FileProblem
    """What to solve."""
    solver: SolverOptions = field(default_factory=SolverOptions)
    """How to solve it."""
    run: RunOptions = field(default_factory=RunOptions)
    """Method, files and what is printed."""
