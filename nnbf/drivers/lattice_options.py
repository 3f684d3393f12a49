"""Options of lattice runs; importing them does not load NetKet."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval, Le, MultipleOf

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from nnbf._options import Checked, Positive, Seed

if TYPE_CHECKING:
    from hamiltonians import Sector

LatticeMethod = Literal["full-sum", "vmc"]


@dataclass(frozen=True)
class MethodSettings:
    """Options whose defaults depend on the method."""

    features: int
    depth: int
    damping: float
    max_steps: int


_DEFAULTS = {"full-sum": MethodSettings(8, 2, 1e-3, 200), "vmc": MethodSettings(16, 2, 1e-4, 2000)}


@dataclass(frozen=True)
class LatticeOptions(Checked):
    """Network, orbitals and optimisation of lattice models. Energies are in units of t."""

    method: Literal["auto", "full-sum", "vmc"] = "auto"
    """full-sum: exact sums over a sector; vmc: variational Monte Carlo, the energy with a statistical error;
    auto: full sums of sectors up to full_sum_limit."""
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
    damping: Positive | None = None
    """Full sums: initial damping of the optimiser (default 1e-3). vmc: diagonal shift (default 1e-4)."""
    dense_limit: Annotated[int, Ge(0)] = 3000
    """Full sums: largest number of coordinates, or of parameters, for which steps are solved directly; above
    by conjugate gradients."""
    tolerance: Positive = 1e-8
    """Full sums: a level has settled when five steps in a row change it by less than this, relative to its
    size, or by next to nothing compared with its variance."""
    max_steps: Annotated[int, Ge(1)] | None = None
    """Most steps for each level (default 200, or 2000 with vmc)."""
    full_sum_limit: Annotated[int, Ge(0)] = 50_000
    """Largest sector (states) that is summed."""
    n_samples: Annotated[int, Ge(16), Le(1_000_000)] = 1024
    """vmc: samples a step."""
    sampling_power: Annotated[float, Interval(gt=0, le=2)] = 1.4
    """vmc: power of |psi| that is sampled, above 0, at most 2; samples are weighted. Below 2 more of them lie
    beside the nodes of psi, where local energies are large."""
    sweep_size: Annotated[int, Ge(1)] | None = None
    """vmc: proposals between two samples of a chain; left out: one for each particle, at
    least 8."""
    learning_rate: Positive | None = None
    """vmc: step of stochastic reconfiguration, in units of 1/t (default 0.05, with a repulsion above 3 t
    smaller in proportion)."""
    spring: Annotated[float, Interval(ge=0, lt=1)] = 0.8
    """vmc: share of the last step that is carried on (SPRING momentum), from 0 (plain stochastic
    reconfiguration) to below 1."""
    warm_up: Annotated[int, Ge(0)] = 100
    """vmc with many determinants: steps before on plane waves with a momentum alone, which cost a fraction,
    where their lowest filling is in the sector."""
    window: Annotated[int, Ge(2)] = 40
    """vmc: steps shrink when the energies of so many steps are lower than those of as many before by less
    than a standard error."""
    spin_penalty: Annotated[float, Ge(0)] | None = None
    """vmc, spinful models: this times S^2 is added to what is minimised (units of t), not to energies. Left
    out: nothing is."""
    precision: Positive = 5e-5
    """vmc: relative error of the final energy at which sampling ends."""
    final_samples: Annotated[int, Ge(16)] = 65_536
    """vmc: most samples of the final energy."""

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

    def require_model(self, model: Lattice) -> None:
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

    def settings(self, method: LatticeMethod) -> MethodSettings:
        """What is given, and the defaults of a method for what is left out."""
        given = {field.name: getattr(self, field.name) for field in fields(MethodSettings)}
        return replace(_DEFAULTS[method], **{name: v for name, v in given.items() if v is not None})
