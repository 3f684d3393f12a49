"""Options of lattice runs; importing them does not load NetKet."""

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import LatticeModel

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
class LatticeOptions:
    """Network, orbitals and optimisation of lattice models. Energies are in units of t."""

    method: Literal["auto", "full-sum", "vmc"] = "auto"
    """full-sum: exact sums over a sector; vmc: variational Monte Carlo, the energy with a statistical error;
    auto: full sums of sectors up to full_sum_limit."""
    features: int | None = None
    """Width of the convolutional network (default 8, or 16 with vmc)."""
    depth: int | None = None
    """Convolutions of the network (default 2)."""
    kernel: int = 3
    """Extent of a convolution, in unit cells."""
    backflow: Literal["multiplicative", "additive", "both", "none"] = "multiplicative"
    """How outputs of the network change the orbitals; none: Slater determinants and Jastrow factor."""
    n_determinants: int | None = None
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
    total_spin: float | None = None
    """Total spin S that determinants are projected on, by an exact sum over rotations. Left out: none, but of
    the antiferromagnet the lowest that is in the sector."""
    jastrow: bool = True
    """Density-density Jastrow factor, one parameter for each distance."""
    network_jastrow: bool = True
    """A further Jastrow factor, one more output of the network: correlations of more than two particles."""
    noise: float = 0.05
    """Scale of the initial random output weights."""
    seed: int = 0
    """Seed of the initial parameters, and of samples."""
    damping: float | None = None
    """Full sums: initial damping of the optimiser (default 1e-3). vmc: diagonal shift (default 1e-4)."""
    dense_limit: int = 3000
    """Full sums: largest number of coordinates, or of parameters, for which steps are solved directly; above
    by conjugate gradients."""
    tolerance: float = 1e-8
    """Full sums: a level has settled when five steps in a row change it by less than this, relative to its
    size, or by next to nothing compared with its variance."""
    max_steps: int | None = None
    """Most steps for each level (default 200, or 2000 with vmc)."""
    full_sum_limit: int = 50_000
    """Largest sector (states) that is summed."""
    n_samples: int = 1024
    """vmc: samples a step."""
    sampling_power: float = 1.4
    """vmc: power of |psi| that is sampled, above 0, at most 2; samples are weighted. Below 2 more of them lie
    beside the nodes of psi, where local energies are large."""
    sweep_size: int | None = None
    """vmc: proposals between two samples of a chain; left out: one for each particle, at
    least 8."""
    learning_rate: float | None = None
    """vmc: step of stochastic reconfiguration, in units of 1/t (default 0.05, with a repulsion above 3 t
    smaller in proportion)."""
    spring: float = 0.8
    """vmc: share of the last step that is carried on (SPRING momentum), from 0 (plain stochastic
    reconfiguration) to below 1."""
    warm_up: int = 100
    """vmc with many determinants: steps before on plane waves with a momentum alone, which cost a fraction,
    where their lowest filling is in the sector."""
    window: int = 40
    """vmc: steps shrink when the energies of so many steps are lower than those of as many before by less
    than a standard error."""
    spin_penalty: float | None = None
    """vmc, spinful models: this times S^2 is added to what is minimised (units of t), not to energies. Left
    out: nothing is."""
    precision: float = 5e-5
    """vmc: relative error of the final energy at which sampling ends."""
    final_samples: int = 65_536
    """vmc: most samples of the final energy."""

    def __post_init__(self):
        for name, least in {
            "features": 1,
            "depth": 1,
            "kernel": 1,
            "n_determinants": 1,
            "seed": 0,
            "dense_limit": 0,
            "max_steps": 1,
            "full_sum_limit": 0,
            "n_samples": 16,
            "sweep_size": 1,
            "window": 2,
            "warm_up": 0,
            "final_samples": 16,
        }.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} must be at least {least}, got {value}")
        for name, most in {
            "features": 4096,
            "depth": 100,
            "kernel": 101,
            "n_determinants": 1000,
            "n_samples": 1_000_000,
            "seed": 2**63 - 1,
        }.items():
            value = getattr(self, name)
            if value is not None and value > most:
                raise InputError(f"{name} must be at most {most}, got {value}")
        for name in ("damping", "tolerance", "learning_rate", "precision", "noise"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be positive, got {value}")
        if self.spin_penalty is not None and not 0 <= self.spin_penalty < math.inf:
            raise InputError(f"spin_penalty must be 0 or more, and finite, got {self.spin_penalty}")
        if not 0 < self.sampling_power <= 2:
            raise InputError(f"sampling_power must lie above 0, at most at 2, got {self.sampling_power}")
        if not 0 <= self.spring < 1:
            raise InputError(f"spring must lie in [0, 1), got {self.spring}")
        if self.method not in ("auto", "full-sum", "vmc"):
            raise InputError(f"method must be auto, full-sum or vmc, got {self.method!r}")
        if self.cell is not None and (len(self.cell) != 2 or min(self.cell) < 1):
            raise InputError(
                f"cell {','.join(map(str, self.cell))}: give two whole numbers from 1, such as 1,1"
            )
        if self.orbitals not in (None, "free", "hartree-fock", "antiferromagnet"):
            raise InputError(f"orbitals must be free, hartree-fock or antiferromagnet, got {self.orbitals!r}")
        if self.orbitals in ("hartree-fock", "antiferromagnet") and (self.n_determinants or 1) > 1:
            raise InputError(f"orbitals {self.orbitals} make one determinant: give --orbitals free")
        if self.orbitals == "antiferromagnet" and self.cell is not None:
            raise InputError("the antiferromagnet has a cell of its own: leave out --cell")
        if self.total_spin is not None and not (self.total_spin >= 0 and (2 * self.total_spin).is_integer()):
            raise InputError(f"total_spin must be a multiple of 0.5 from 0, got {self.total_spin}")
        if self.backflow not in ("multiplicative", "additive", "both", "none"):
            raise InputError(
                f"backflow must be multiplicative, additive, both or none, got {self.backflow!r}"
            )

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
                "give --method vmc, an irrep, a smaller lattice, or a larger limit"
            )
        return "full-sum"

    def require_model(self, model: LatticeModel) -> None:
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
                "lattices with hopping between two sublattices alone: give --orbitals hartree-fock"
            )
        if self.orbitals == "hartree-fock" and self.cell not in (None, model.size):
            whole = f"{model.size[0]},{model.size[1]}"
            raise InputError(f"Hartree-Fock orbitals are those of the whole lattice: give --cell {whole}")

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
