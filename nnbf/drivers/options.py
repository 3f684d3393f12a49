"""Options of calculations, of molecules, lattices and other problems; importing them does not load NetKet."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval, Le, MultipleOf

from hamiltonians.errors import InputError
from nnbf._compute import Compute, Passes
from nnbf._options import Checked, Positive, Seed

if TYPE_CHECKING:
    from hamiltonians import Lattice, Sector

LatticeMethod = Literal["full-sum", "vmc"]

#: Determinants of V where nothing is said, and of a molecule's symmetry sector that is then taken whole.
_SPACE, _WHOLE_SECTOR = 16_384, 50_000
EXACT_LIMIT = 200_000
"""States of a lattice's sector, or of all together, up to which they are diagonalised: about 10 s."""

#: Options of lattices whose defaults depend on the method.
_DEFAULTS = {
    "full-sum": {"features": 8, "depth": 2, "damping": 1e-3, "max_steps": 200},
    "vmc": {"features": 16, "depth": 2, "damping": 1e-4, "max_steps": 2000},
}


Power = Annotated[float, Interval(gt=0, le=2)]
"""Powers of |psi| that can be sampled."""


@dataclass(frozen=True)
class ComputeOptions(Checked):
    """Where runs compute, and how exactly."""

    compute: Compute = "auto"
    """host: compiled kernels of the CPU; device: programs of JAX whose arrays stay on the device, on a CPU as
    well; auto: device on an accelerator, else host."""
    passes: Passes = "double"
    """Precision of the network's layers in amplitudes and local energies, on the device; chains, derivatives,
    sums and solutions are double, and the run says what it changes."""

    def __post_init__(self):
        super().__post_init__()
        if self.passes == "single" and self.compute == "host":
            raise InputError("passes single has no effect with compute host: leave it out")


@dataclass(frozen=True)
class SolverOptions(ComputeOptions):
    """How the ground state is searched. Energies in Hartree, times in seconds."""

    states: Annotated[int, Ge(1)] = 1
    """Lowest states that are found (method selected), of all spins and irreps, degenerate ones counted each;
    a level that begins among them comes complete. With the three options below: of each of these."""
    irreps: str = ""
    """Irreps of the states, of the full point group and by name, such as "1Pig 3Sigu+ B1u" (2S + 1 before the
    name for one spin), or "all", with the two lowest spins; left out: not told apart."""
    spins: str = ""
    """Total spins S of the states, such as "0 1"; left out: not told apart."""
    charges: str = ""
    """Charges of the states, such as "0 1 -1", or "ions" (an electron less and more), in the orbitals of the
    molecule as it is given: excitation energies of ions are ionisation potentials and minus electron
    affinities. Left out: that charge."""
    optimizer: Literal["auto", "rgn", "sr", "adam"] = "auto"
    """Rayleigh-Gauss-Newton (second order; selected space only), stochastic reconfiguration with SPRING
    momentum, or Adam; auto is rgn in selected space and sr with Monte Carlo."""
    network: str | None = None
    """Registered network, such as one of a plug-in; left out: neural backflow with the options below."""
    network_options: str = ""
    """Its fields as TOML, such as "width = 16, depth = 2"."""
    hidden: tuple[Annotated[int, Interval(ge=1, le=65536)], ...] = (128,)
    """Widths of the hidden layers of the network."""
    n_determinants: Annotated[int, Ge(1), Le(1024)] = 2
    """Number of backflow determinants."""
    blocked: bool = True
    """Product of an alpha and a beta determinant; otherwise one determinant over all spin orbitals."""
    spin_flip: Literal["auto", "none", "average", "canonical"] = "auto"
    """Spin flip symmetry: psi(n) + psi(flipped n), or psi of one of the two; auto is canonical for 2S = 0,
    average with start_orbitals uhf, none with a total_spin (which has its own)."""
    total_spin: Annotated[float, MultipleOf(0.5)] | None = None
    """Total spin S that determinants are projected on, by an exact sum over rotations; left out: none."""
    start_orbitals: Literal["reference", "rhf", "uhf"] = "reference"
    """Orbitals of the network at the start: those of the reference determinant, or the lowest Hartree-Fock
    determinant over the orbitals of the problem, with the spins alike or apart (broken symmetry)."""
    equivariant: bool = False
    """Tie the weights of the network by the operations that permute the orbitals (up to signs) and leave the
    Hamiltonian and start_orbitals as they are: the state has their symmetry, and a sample stands for all its
    images. For localised orbitals; operations that exchange the spins are among them."""
    noise: Positive = 0.05
    """Size of the random part of the initial orbitals."""
    max_space: Annotated[int, Ge(1), Le(5_000_000)] | None = None
    """Largest number of determinants in the variational space V (flip pairs count once); left out: 16,384, or
    the whole symmetry sector where that has at most 50,000."""
    accuracy: Positive = 2e-4
    """V grows until the second-order estimate of what it leaves out is below this (always up to 4096)."""
    energy_tolerance: Positive = 1e-6
    """Converged when two steps in a row change the energy by less than this."""
    max_steps: Annotated[int, Ge(1)] = 1000
    """Most optimisation steps."""
    time_limit: Positive | None = None
    """Stop optimising after this many seconds; what was reached is evaluated (samples take at most as long
    again, or a minute) and written."""
    damping: Positive = 1e-3
    """Initial damping of Rayleigh-Gauss-Newton; the diagonal shift of sr is a tenth of it (with
    Monte Carlo: ten times it, Hartree)."""
    learning_rate: Positive | None = None
    """Step of sr (default 0.3 per Hartree; with Monte Carlo the fraction of Davidson's step, default 1) or
    Adam (default 0.001)."""
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """SPRING momentum of sr, from 0 (plain SR) to below 1."""
    max_step: Positive | None = None
    """Bound on the change of the normalised state in a step (default: rgn 0.3, sr 0.1)."""
    dense_limit: Annotated[int, Ge(0), Le(30_000)] = 4096
    """Up to this size of V linear systems are factorised, above they are solved by conjugate gradients."""
    truncated: bool = True
    """Leave determinants outside V out of local energies, which makes the energy an upper bound; otherwise
    the network is evaluated on all connected determinants at every step (sr and adam only)."""
    tail_steps: Annotated[int, Ge(0)] | None = None
    """Steps that train the network outside V, once V has settled. The energy is then that of the whole state:
    V summed exactly, the rest sampled (kind vmc). Left out: 40 with rgn, where V has at most 20,000
    determinants and is not the whole sector; 0 trains V alone."""
    full_sum_limit: Annotated[int, Ge(0)] = 500_000
    """Sum over the whole symmetry sector when it has at most this many determinants."""
    projected: bool = True
    """Also evaluate the network on the whole connected space: the energy of kind projected."""
    pt2: bool = True
    """Also compute the second-order correction over the whole connected space: the energy of kind pt2."""
    sampler: Literal["auto", "exact", "metropolis"] = "auto"
    """vmc: independent samples from a list of the whole symmetry sector, or Markov chains of single and
    double excitations; auto is exact where the sector has at most 100000 determinants."""
    n_samples: Annotated[int, Ge(16)] = 4096
    """vmc: samples a step."""
    sampling_power: Power | Literal["auto"] = 1.0
    """vmc: samples are drawn from |psi| to this power and reweighted; below 2, rare determinants are seen.
    auto: the power from 1 to 2 that gave the smallest errors in the last ten steps."""
    proposal: Literal["auto", "heat-bath", "uniform", "balanced"] = "auto"
    """vmc: Markov chains propose double excitations as the Hamiltonian couples them, or uniformly; balanced:
    mostly hops and exchanges of spins between orbitals that avoid repulsion; auto is balanced for orbitals
    without irreps, as local ones, else heat-bath."""
    n_chains: Annotated[int, Ge(2)] = 64
    """vmc: Markov chains, each from its own determinant."""
    sweep_size: Annotated[int, Ge(1)] | None = None
    """vmc: proposals between two samples of a chain; left out: one for every spin orbital."""
    n_temperatures: Annotated[int, Ge(1)] = 1
    """vmc: replicas of every chain at higher temperatures (parallel tempering), an even number; 1 is none."""
    rounding: Annotated[float, Ge(0)] = 5e-4
    """vmc: with Markov chains, smaller matrix elements (Hartree) become this or nothing in local energies, at
    random but right on average; 0: all are summed."""
    precision: Positive = 1e-4
    """vmc, and with tail_steps: sample the final state until the error of its energy is below this."""
    rdm2: bool = False
    """Also make the two-particle density matrices of the final state, check them, and write rdm.npz."""
    spin_penalty: Annotated[float, Ge(0)] = 0.0
    """Minimise H + this (Hartree) times S^2 - S(S+1), with S from 2S; energies reported are those of H."""
    seed: Seed = 0
    """Seed of the initial parameters, and of samples."""

    @property
    def several(self) -> bool:
        """True where states are sought one by one, and named."""
        return self.states > 1 or bool(self.irreps or self.spins or self.charges)

    def largest_space(self, dimension: int | None) -> int:
        """Most determinants that V may have.

        Args:
            dimension: Determinants of the whole symmetry sector; None: not known, or too many to be listed.
        """
        if self.max_space is not None:
            return self.max_space
        return _WHOLE_SECTOR if dimension is not None and dimension <= _WHOLE_SECTOR else _SPACE


@dataclass(frozen=True)
class SumOptions(Checked):
    """Steps and end of full sums."""

    dense_limit: Annotated[int, Ge(0)] = 3000
    """Full sums: largest number of coordinates, or of parameters, for which steps are solved directly; above
    by conjugate gradients."""
    tolerance: Positive = 1e-8
    """Full sums: a level has settled when five steps in a row change it by less than this, relative to its
    size, or by next to nothing compared with its variance."""


@dataclass(frozen=True)
class SamplingOptions(Checked):
    """Samples, steps and final energy of Monte Carlo."""

    n_samples: Annotated[int, Ge(16), Le(1_000_000)] = 1024
    """vmc: samples a step."""
    sampling_power: Power = 2.0
    """vmc: power of |psi| that is sampled, above 0, at most 2; samples are weighted. Below 2 more of them lie
    beside the nodes of psi, where local energies are large."""
    sweep_size: Annotated[int, Ge(1)] | None = None
    """vmc: proposals between two samples of a chain; left out: one for each particle (or
    mode), at least 8."""
    spring: Annotated[float, Interval(ge=0, lt=1)] = 0.8
    """vmc: share of the last step that is carried on (SPRING momentum), from 0 (plain stochastic
    reconfiguration) to below 1."""
    window: Annotated[int, Ge(2)] = 40
    """vmc: steps shrink when the energies of so many steps are lower than those of as many before by less
    than a standard error."""
    precision: Positive = 1e-4
    """vmc: relative error of the final energy at which sampling ends."""
    final_samples: Annotated[int, Ge(16)] = 65_536
    """vmc: most samples of the final energy."""


@dataclass(frozen=True)
class LatticeNetwork(Checked):
    """Method, network and orbitals of lattice models."""

    method: Literal["auto", "full-sum", "vmc"] = "auto"
    """full-sum: exact sums over a sector; vmc: variational Monte Carlo, the energy with a statistical error;
    auto: full sums of sectors up to full_sum_limit."""
    network: str | None = None
    """Registered network, such as one of a plug-in, projected on the sector; left out: equivariant backflow
    with the options below."""
    network_options: str = ""
    """Its fields as TOML, such as "width = 16, depth = 2"."""
    features: Annotated[int, Ge(1), Le(4096)] | None = None
    """Width of the convolutional network (default 8, or 16 with vmc)."""
    depth: Annotated[int, Ge(1), Le(100)] | None = None
    """Convolutions of the network (default 2)."""
    kernel: Annotated[int, Ge(1), Le(101)] = 3
    """Extent of a convolution, in unit cells."""
    backflow: Literal["multiplicative", "additive", "both", "none"] = "multiplicative"
    """How outputs of the network change the orbitals; none: Slater determinants and Jastrow factor."""
    n_determinants: Annotated[int, Ge(1), Le(1000)] | None = None
    """Fillings of free orbitals, from the lowest in energy, that are added up; left out: those that share
    the lowest energy, at most 4."""
    cell: tuple[int, ...] | None = None
    """Unit cell of the orbitals: 1,1 for plane waves (one determinant has a momentum exactly), the size of
    the lattice for orbitals that are free to vary (a sum over all translations). Left out: 1,1, with vmc the
    lattice where its determinants are few and small."""
    orbitals: Literal["free", "hartree-fock", "antiferromagnet"] | None = None
    """What the orbitals are at the start; Hartree-Fock (unrestricted) is for those of the whole lattice, the
    antiferromagnet (two sublattices, a cell of its own) for half filling. Left out: the antiferromagnet with
    vmc where Lieb's theorem holds and the sector has a part of it, Hartree-Fock for orbitals of the whole
    lattice in an open shell, else free."""
    total_spin: Annotated[float, MultipleOf(0.5)] | None = None
    """Total spin S that determinants are projected on, by an exact sum over rotations. Left out: none, but of
    the antiferromagnet the lowest that is in the sector."""
    jastrow: bool = True
    """Density-density Jastrow factor, one parameter for each distance."""
    network_jastrow: bool = True
    """A further Jastrow factor, one more output of the network: correlations of more than two particles."""
    noise: Positive = 0.05
    """Scale of the initial random output weights."""
    seed: Seed = 0
    """Seed of the initial parameters, and of samples."""


@dataclass(frozen=True)
class LatticeOptions(SamplingOptions, SumOptions, LatticeNetwork, ComputeOptions):
    """Network, orbitals and optimisation of lattice models. Energies are in units of t."""

    damping: Positive | None = None
    """Full sums: initial damping of the optimiser (default 1e-3). vmc: diagonal shift (default 1e-4)."""
    max_steps: Annotated[int, Ge(1)] | None = None
    """Most steps for each level (default 200, or 2000 with vmc)."""
    full_sum_limit: Annotated[int, Ge(0)] = 50_000
    """Largest sector (states) that is summed."""
    learning_rate: Positive | None = None
    """vmc: step of stochastic reconfiguration, in units of 1/t (default 0.05, with a repulsion above 3 t
    smaller in proportion)."""
    warm_up: Annotated[int, Ge(0)] = 100
    """vmc with many determinants: steps before on plane waves with a momentum alone, which cost a fraction,
    where their lowest filling is in the sector."""
    spin_penalty: Annotated[float, Ge(0)] | None = None
    """vmc, spinful models: this times S^2 is added to what is minimised (units of t), not to energies. Left
    out: nothing is."""
    sampling_power: Power = 1.4
    """vmc: power of |psi| that is sampled, above 0, at most 2; samples are weighted. Below 2 more of them lie
    beside the nodes of psi, where local energies are large."""
    precision: Positive = 5e-5
    """vmc: relative error of the final energy at which sampling ends."""

    def __post_init__(self):
        super().__post_init__()
        if self.cell is not None and (len(self.cell) != 2 or min(self.cell) < 1):
            raise InputError(
                f"cell {','.join(map(str, self.cell))}: give two whole numbers from 1, such as 1,1"
            )
        if self.orbitals in ("hartree-fock", "antiferromagnet") and (self.n_determinants or 1) > 1:
            raise InputError(f"orbitals {self.orbitals} make one determinant: give orbitals free")
        if self.orbitals == "antiferromagnet" and self.cell is not None:
            raise InputError("the antiferromagnet has a cell of its own: leave out cell")

    def method_for(self, n_states: int) -> LatticeMethod:
        """The method for a sector of so many states.

        Raises:
            InputError: Full sums are asked for, and it is too large.
        """
        if self.method == "vmc" or (self.method == "auto" and n_states > self.full_sum_limit):
            return "vmc"
        if n_states > self.full_sum_limit:
            raise InputError(
                f"a sector has {n_states:,} states, more than full_sum_limit ({self.full_sum_limit:,}): "
                "give method vmc, an irrep, a smaller lattice, or a larger limit"
            )
        return "full-sum"

    def require_model(self, model: "Lattice") -> None:
        """Refuse what does not go with a model.

        Raises:
            InputError: A spin penalty without spin, or Hartree-Fock orbitals in a cell of their own.
        """
        if not model.is_spinful:
            if self.spin_penalty:
                raise InputError("spin_penalty is for spinful models: give a Hubbard model, or 0")
            if self.total_spin is not None:
                raise InputError("total_spin is for spinful models: give a Hubbard model, or leave it out")
        elif self.total_spin is not None:
            least, largest = model.total_spins
            if not (least <= self.total_spin <= largest and (self.total_spin - least).is_integer()):
                raise InputError(
                    f"total_spin {self.total_spin:g}: these electrons have total spins from {least:g} to "
                    f"{largest:g} in steps of 1"
                )
        if self.orbitals == "antiferromagnet" and not (
            model.is_half_filled_bipartite and all(model.periodic)
        ):
            raise InputError(
                "orbitals antiferromagnet are for Hubbard models at half filling with U > 0, on periodic "
                "lattices with hopping between two sublattices alone: give orbitals hartree-fock"
            )
        if self.orbitals == "hartree-fock" and self.cell not in (None, model.size):
            whole = f"{model.size[0]},{model.size[1]}"
            raise InputError(f"Hartree-Fock orbitals are those of the whole lattice: give cell {whole}")

    def require_sector(self, sector: "Sector") -> None:
        """Refuse a total spin that a sector of one parity under spin flip does not have.

        Raises:
            InputError: Even total spins are even, odd ones odd.
        """
        if self.total_spin is None or sector.spin_flip is None:
            return
        if sector.spin_flip != (-1) ** round(self.total_spin):
            raise InputError(f"sector {sector.label}: total_spin {self.total_spin:g} has the other parity")

    def step_size(self, repulsion: float) -> float:
        """Step of stochastic reconfiguration: what is given, or the default for a repulsion (units of t).

        A state of energy E above the lowest is multiplied by 1 - step * E: the larger the repulsion, the
        smaller the steps that do not overshoot.
        """
        return self.learning_rate or 0.05 / max(1.0, abs(repulsion) / 3.0)

    def settings(self, method: LatticeMethod) -> SimpleNamespace:
        """Features, depth, damping and max_steps: what is given, else the defaults of a method."""
        given = {name: getattr(self, name) for name in _DEFAULTS[method]}
        known = {name: value for name, value in given.items() if value is not None}
        return SimpleNamespace(**_DEFAULTS[method] | known)


@dataclass(frozen=True)
class GeneralOptions(SamplingOptions, SumOptions, ComputeOptions):
    """Network and optimisation of any problem with a Hamiltonian, in its unit of energy."""

    network: str = "dense"
    """Registered network: dense (a perceptron), or one of a plug-in."""
    network_options: str = ""
    """Fields of the network as TOML, such as "hidden = [64, 64]"."""
    seed: Seed = 0
    """Seed of the initial parameters, and of samples."""
    damping: Positive = 1e-3
    """Initial damping of full sums; vmc: diagonal shift."""
    max_steps: Annotated[int, Ge(1)] = 400
    """Most optimisation steps."""
    time_limit: Positive | None = None
    """Stop optimising after this many seconds; what was reached is evaluated and written."""
    full_sum_limit: Annotated[int, Ge(0)] = 100_000
    """Largest number of configurations that are summed."""
    exact_limit: Annotated[int, Ge(0)] = 20_000
    """Diagonalise exactly beside, for comparison, up to this many configurations; 0: never."""
    learning_rate: Positive = 0.05
    """vmc: step of stochastic reconfiguration."""
