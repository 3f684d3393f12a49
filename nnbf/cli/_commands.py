"""The commands as data: which groups of options each has. Fields are options, their docstrings the help."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge

from nnbf._options import Checked
from nnbf.drivers.options import SolverOptions
from nnbf.runs.checkpoint import INTERVAL
from nnbf.runs.problem import FileProblem, MoleculeProblem


@dataclass(frozen=True)
class RunOptions(Checked):
    """Method, files and what is printed."""

    method: Literal["selected", "vmc"] = "selected"
    """selected: deterministic optimisation on a growing variational space of determinants; vmc:
    variational Monte Carlo, the energy with a statistical error."""
    out: str | None = None
    """Run folder, new or empty; left out: runs/<molecule>_<basis>_<time>."""
    start_from: str | None = None
    """Run folder whose trained state this run starts from: another geometry of the same molecule, with
    the same network; orbitals are turned to those of that run."""
    config: str | None = None
    """TOML file with options; the command line goes before the file, the file before defaults."""
    dry_run: bool = False
    """Show what would be done and how large it is, and write nothing."""
    quiet: bool = False
    """Print only the final table."""
    checkpoint_interval: Annotated[float, Ge(0)] = INTERVAL
    """Seconds between checkpoints, from which 'nnbf resume' goes on; 0: before every step."""


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
