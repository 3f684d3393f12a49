"""The commands that solve a problem, as data: groups of options, whose fields are options and help texts."""

from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge

from hamiltonians.errors import InputError
from hamiltonians.formats.fcidump import FileSpec
from hamiltonians.lattice.lattice_spec import LatticeSpec
from hamiltonians.molecule.spec import MoleculeSpec
from hamiltonians.problem import problem_class
from nnbf._options import Checked
from nnbf.drivers.methods import options_class
from nnbf.drivers.options import GeneralOptions, LatticeOptions, SolverOptions
from nnbf.runs.checkpoint import INTERVAL
from nnbf.runs.job import ChargeChoice, LatticeLimits, Limits, OneSector, SectorChoice, SpectrumLimits


@dataclass(frozen=True)
class RunOptions(Checked):
    """Files and what is printed."""

    out: str | None = None
    """Run folder, new or empty; left out: runs/<problem>_<time>."""
    config: str | None = None
    """TOML file with options; the command line goes before the file, the file before defaults."""
    devices: Annotated[int, Ge(1)] | None = None
    """Devices of this machine to compute with; left out: all GPUs, or the CPU as one. A CPU is cut into as
    many, which is for trying things out."""
    dry_run: bool = False
    """Show what would be done, where and how large it is, and write nothing."""
    quiet: bool = False
    """Print only the final tables."""


@dataclass(frozen=True)
class MolecularRunOptions(RunOptions):
    """Method, files and what is printed."""

    method: Literal["auto", "selected", "vmc"] = "selected"
    """selected: deterministic optimisation on a growing variational space of determinants; vmc:
    variational Monte Carlo, the energy with a statistical error; auto: vmc, in Loewdin orbitals, where UHF
    says that the state is spread out over more determinants than a selected space has, else selected."""
    start_from: str | None = None
    """Run folder whose trained state this run starts from: another geometry of the same molecule, with
    the same network; orbitals are turned to those of that run."""
    checkpoint_interval: Annotated[float, Ge(0)] = INTERVAL
    """Seconds between checkpoints, from which 'nnbf resume' goes on; 0: before every step."""


@dataclass(frozen=True)
class SolveMolecular:
    """Compute the ground state of a molecule, however it is given."""

    problem: Any
    """What to solve."""
    solver: SolverOptions = field(default_factory=SolverOptions)
    """How to solve it."""
    run: MolecularRunOptions = field(default_factory=MolecularRunOptions)
    """Method, files and what is printed."""


@dataclass(frozen=True)
class SolveMolecule(SolveMolecular):
    """Compute the ground state of a molecule and compare with HF, MP2, CCSD, CCSD(T) and FCI.

    Energies are in Hartree.
    """

    problem: MoleculeSpec
    """What to solve."""


@dataclass(frozen=True)
class SolveFile(SolveMolecular):
    """Compute the ground state of a Hamiltonian in a file: FCIDUMP, or a saved system.

    Energies are in Hartree.
    """

    problem: FileSpec
    """What to solve."""


@dataclass(frozen=True)
class GeneralRunOptions(RunOptions):
    """Method, files and what is printed."""

    method: str | None = None
    """One of the methods that the kind of problem was registered with, such as full-sum (exact sums over all
    configurations) or vmc (variational Monte Carlo); left out: its first."""
    checkpoint_interval: Annotated[float, Ge(0)] = INTERVAL
    """Seconds between checkpoints, from which 'nnbf resume' goes on; 0: before every step."""


@dataclass(frozen=True)
class RegisteredProblem:
    """What to solve."""

    problem: str
    """Name of a registered kind of problem, or a saved one (.npz, .h5)."""


@dataclass(frozen=True)
class SolveProblem:
    """Find the lowest state of a problem of a kind that a plug-in registers.

    What is to be solved follows as options: 'nnbf --plugin FILE.py solve NAME --help' lists them.
    """

    problem: RegisteredProblem
    """What to solve."""
    solver: GeneralOptions = field(default_factory=GeneralOptions)
    """Network and optimiser, unless the kind of problem has options of its own."""
    run: GeneralRunOptions = field(default_factory=GeneralRunOptions)
    """Method, files and what is printed."""


def solving_command(format: str, *, saved: bool = False) -> type:
    """Return the data class of `nnbf solve NAME`: fields of a registered problem, options of its methods.

    Args:
        format: Name of the kind of problem.
        saved: Whether the problem comes from a file, so that its fields are no options.

    Raises:
        InputError: It is not registered, or is solved by another command.
    """
    problem, options = problem_class(format), options_class(format)
    own = {"molecular-system": "nnbf fcidump", "lattice": "nnbf lattice"}
    if format in own:
        raise InputError(f"a problem of kind {format} is solved by '{own[format]}'")
    required = any(f.default is MISSING and f.default_factory is MISSING for f in fields(problem))
    given: list[Any] = [("problem", problem, field() if required else field(default_factory=problem))]
    groups = [
        *([] if saved else given),
        ("solver", options, field(default_factory=options)),
        ("run", GeneralRunOptions, field(default_factory=GeneralRunOptions)),
    ]
    return make_dataclass("Solve", groups, frozen=True, namespace={"__doc__": problem.__doc__})


@dataclass(frozen=True)
class SolveLattice:
    """Find the lowest state of a lattice model in one symmetry sector, by symmetry-aware backflow.

    Energies are in units of t. 'nnbf spectrum' searches all sectors.
    """

    problem: LatticeSpec
    """What to solve."""
    sector: OneSector = field(default_factory=OneSector)
    """Where."""
    solver: LatticeOptions = field(default_factory=LatticeOptions)
    """Method, network, orbitals, optimiser."""
    limits: LatticeLimits = field(default_factory=LatticeLimits)
    """Limits."""
    run: RunOptions = field(default_factory=RunOptions)
    """Files and what is printed."""


@dataclass(frozen=True)
class SolveSpectrum:
    """Find the lowest levels of a lattice model in every symmetry sector, by symmetry-aware backflow.

    Sectors (momentum, irrep of its little group, spin flip) up to --full-sum-limit are summed completely:
    their energies are exact expectation values. Larger ones are sampled, with an error bar. Exact
    diagonalisation stands beside them where it is affordable. Energies are in units of t.
    Of molecules: 'nnbf spectrum molecule MOLECULE', by irrep and spin, with the options of 'nnbf molecule'.
    """

    problem: LatticeSpec
    """What to solve."""
    choice: SectorChoice = field(default_factory=SectorChoice)
    """Which levels."""
    solver: LatticeOptions = field(default_factory=LatticeOptions)
    """Network, orbitals, optimiser."""
    limits: SpectrumLimits = field(default_factory=SpectrumLimits)
    """Limits."""
    run: RunOptions = field(default_factory=RunOptions)
    """Files and what is printed."""


@dataclass(frozen=True)
class SolveCharge:
    """Find chemical potentials, the charge gap and quasiparticle weights of a lattice model.

    States of N, N - 1 and N + 1 particles are optimised by full sums; Z_k = |<N-1|c_k|N>|^2 is an exact sum
    over both. Energies are in units of t.
    Of molecules: 'nnbf charge molecule MOLECULE', with the options of 'nnbf molecule'.
    """

    problem: LatticeSpec
    """What to solve; N is its number of particles."""
    choice: ChargeChoice = field(default_factory=ChargeChoice)
    """Which excitations."""
    solver: LatticeOptions = field(default_factory=LatticeOptions)
    """Network, orbitals, optimiser."""
    limits: Limits = field(default_factory=Limits)
    """Limits."""
    run: RunOptions = field(default_factory=RunOptions)
    """Files and what is printed."""


STATES_OF_MOLECULES: dict[str, tuple[str, ...]] = {
    "spectrum": (
        "nnbf spectrum molecule N2 --basis sto-3g",
        'nnbf spectrum molecule N2 --basis sto-3g --irreps "1Pig 3Sigu+ Delu" --states 2',
        'nnbf spectrum molecule NH3 --basis 6-31g --frozen-core --spins "0 1" --states 3',
    ),
    "charge": (
        "nnbf charge molecule H2O --basis 6-31g --frozen-core --states 3",
        'nnbf charge molecule N2 --basis sto-3g --charges "0 1" --irreps "2Sigg+ 2Piu 1Sigg+"',
    ),
}
"""Examples of these commands for molecules; their options are those of `nnbf molecule`."""

SOLVING: dict[str, tuple[type, tuple[str, ...]]] = {
    "molecule": (
        SolveMolecule,
        (
            "nnbf molecule N2 --basis sto-3g",
            'nnbf molecule "O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587" --basis cc-pvdz --frozen-core',
            "nnbf molecule OH --basis 6-31g --charge -1 --max-space 50000 --time-limit 3600",
            'nnbf molecule ethene.xyz --basis cc-pvdz --active-space "12,12" --out runs/ethene',
            "nnbf molecule Cr2 --basis def2-svp --config chromium.toml --dry-run",
        ),
    ),
    "fcidump": (
        SolveFile,
        (
            "nnbf fcidump H2O.FCIDUMP",
            "nnbf fcidump N2.FCIDUMP --hidden 256,256 --optimizer sr --out runs/n2_sr",
            "nnbf fcidump runs/n2_sr/system.npz --seed 1",
        ),
    ),
    "lattice": (
        SolveLattice,
        (
            "nnbf lattice tv --size 6x6 --particles 13 --interaction 1 --time-limit 1800",
            "nnbf lattice hubbard --size 4x4 --particles 5,5 --interaction 4 --method vmc",
            "nnbf lattice tv --size 4x4 --particles 8 --interaction 4 --momentum 2,2 --irrep A1",
        ),
    ),
    "spectrum": (
        SolveSpectrum,
        (
            "nnbf spectrum tv --size 4x4 --particles 5 --interaction 1",
            'nnbf spectrum tv --size 6x6 --particles 5 --momenta "0,0 3,3" --irreps "B1 B2"',
            'nnbf spectrum molecule N2 --basis sto-3g --irreps "1Pig 3Sigu+"',
            "nnbf spectrum hubbard --size 4x2 --particles 4,4 --boundary apbc,pbc --spin both",
        ),
    ),
    "charge": (
        SolveCharge,
        (
            "nnbf charge molecule H2O --basis 6-31g --frozen-core",
            'nnbf charge tv --size 4x4 --particles 5 --interaction 1 --momenta "0,0 1,0"',
            "nnbf charge hubbard --size 4x2 --particles 4,4 --interaction 4 --boundary apbc,pbc",
        ),
    ),
}
"""Data class of the options and examples, by command."""
