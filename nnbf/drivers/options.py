"""Options of a calculation."""

from dataclasses import dataclass
from typing import Literal

from hamiltonians import InputError


@dataclass(frozen=True)
class SolverOptions:
    """How the ground state is searched. Energies in Hartree, times in seconds."""

    optimizer: Literal["auto", "rgn", "sr", "adam"] = "auto"
    """Rayleigh-Gauss-Newton (second order; selected space only), stochastic reconfiguration with SPRING
    momentum, or Adam; auto is rgn in selected space and sr with Monte Carlo."""
    hidden: tuple[int, ...] = (128,)
    """Widths of the hidden layers of the network."""
    n_determinants: int = 2
    """Number of backflow determinants."""
    blocked: bool = True
    """Product of an alpha and a beta determinant; otherwise one determinant over all spin orbitals."""
    spin_flip: Literal["auto", "none", "average", "canonical"] = "auto"
    """Spin flip symmetry: psi(n) + psi(flipped n), or psi of one of the two; auto is canonical for 2S = 0."""
    noise: float = 0.05
    """Size of the random part of the initial orbitals."""
    max_space: int = 50000
    """Largest number of determinants in the variational space V (flip pairs count once)."""
    accuracy: float = 2e-4
    """V grows until the second-order estimate of what it leaves out is below this (always up to 4096)."""
    energy_tolerance: float = 1e-6
    """Converged when two steps in a row change the energy by less than this."""
    max_steps: int = 1000
    """Most optimisation steps."""
    time_limit: float | None = None
    """Stop optimising after this many seconds; what was reached is evaluated and written."""
    damping: float = 1e-3
    """Initial damping of Rayleigh-Gauss-Newton; the diagonal shift of sr is a tenth of it (with
    Monte Carlo: the same)."""
    learning_rate: float | None = None
    """Step of sr (default 0.3 per Hartree) or Adam (default 0.001)."""
    momentum: float = 0.5
    """SPRING momentum of sr, from 0 (plain SR) to below 1."""
    max_step: float | None = None
    """Bound on the change of the normalised state in a step (default: rgn 0.3, sr 0.1)."""
    dense_limit: int = 4096
    """Up to this size of V linear systems are factorised, above they are solved by conjugate gradients."""
    truncated: bool = True
    """Leave determinants outside V out of local energies, which makes the energy an upper bound; otherwise
    the network is evaluated on all connected determinants at every step (sr and adam only)."""
    tail_steps: int = 0
    """Steps that train the network on samples of the determinants outside V, once V has settled."""
    full_sum_limit: int = 500_000
    """Sum over the whole symmetry sector when it has at most this many determinants."""
    projected: bool = True
    """Also evaluate the network on the whole connected space: the energy of kind projected."""
    pt2: bool = True
    """Also compute the second-order correction over the whole connected space: the energy of kind pt2."""
    sampler: Literal["auto", "exact", "metropolis"] = "auto"
    """vmc: independent samples from a list of the whole symmetry sector, or Markov chains of single and
    double excitations; auto is exact where the sector has at most 100000 determinants."""
    n_samples: int = 4096
    """vmc: samples a step."""
    sampling_power: float = 1.0
    """vmc: samples are drawn from |psi| to this power and reweighted; below 2, rare determinants are seen."""
    proposal: Literal["heat-bath", "uniform"] = "heat-bath"
    """vmc: Markov chains propose double excitations as the Hamiltonian couples them, or uniformly."""
    n_chains: int = 64
    """vmc: Markov chains, each from its own determinant."""
    sweep_size: int | None = None
    """vmc: proposals between two samples of a chain; left out: one for every spin orbital."""
    n_temperatures: int = 1
    """vmc: replicas of every chain at higher temperatures (parallel tempering), an even number; 1 is none."""
    precision: float = 1e-4
    """vmc: sample the final state until the error of its energy is below this."""
    rdm2: bool = False
    """Also make the two-particle density matrices of the final state, check them, and write rdm.npz."""
    spin_penalty: float = 0.0
    """Minimise H + this (Hartree) times S^2 - S(S+1), with S from 2S; energies reported are those of H."""
    seed: int = 0
    """Seed of the initial parameters, the only random numbers there are."""

    def __post_init__(self):
        positive = (
            "noise",
            "accuracy",
            "energy_tolerance",
            "time_limit",
            "damping",
            "learning_rate",
            "max_step",
            "sampling_power",
            "precision",
        )
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be positive, got {value}")
        at_least = {
            "n_determinants": 1,
            "max_space": 1,
            "max_steps": 1,
            "dense_limit": 0,
            "full_sum_limit": 0,
            "tail_steps": 0,
            "spin_penalty": 0,
            "seed": 0,
            "n_samples": 16,
            "n_chains": 2,
            "n_temperatures": 1,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        at_most = {"n_determinants": 1024, "max_space": 5_000_000, "dense_limit": 30_000, "seed": 2**63 - 1}
        for name, most in at_most.items():
            if getattr(self, name) > most:
                raise InputError(f"{name} must be at most {most}, got {getattr(self, name)}")
        if any(width < 1 or width > 65536 for width in self.hidden):
            raise InputError(f"widths of hidden layers must lie between 1 and 65536, got {self.hidden}")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum must lie in [0, 1), got {self.momentum}")
        choices = {
            "optimizer": ("auto", "rgn", "sr", "adam"),
            "sampler": ("auto", "exact", "metropolis"),
            "proposal": ("heat-bath", "uniform"),
            "spin_flip": ("auto", "none", "average", "canonical"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
