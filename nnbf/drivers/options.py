"""Options of a calculation."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Interval, Le

from nnbf._options import Checked, Positive, Seed


@dataclass(frozen=True)
class SolverOptions(Checked):
    """How the ground state is searched. Energies in Hartree, times in seconds."""

    optimizer: Literal["auto", "rgn", "sr", "adam"] = "auto"
    """Rayleigh-Gauss-Newton (second order; selected space only), stochastic reconfiguration with SPRING
    momentum, or Adam; auto is rgn in selected space and sr with Monte Carlo."""
    hidden: tuple[Annotated[int, Interval(ge=1, le=65536)], ...] = (128,)
    """Widths of the hidden layers of the network."""
    n_determinants: Annotated[int, Ge(1), Le(1024)] = 2
    """Number of backflow determinants."""
    blocked: bool = True
    """Product of an alpha and a beta determinant; otherwise one determinant over all spin orbitals."""
    spin_flip: Literal["auto", "none", "average", "canonical"] = "auto"
    """Spin flip symmetry: psi(n) + psi(flipped n), or psi of one of the two; auto is canonical for 2S = 0."""
    noise: Positive = 0.05
    """Size of the random part of the initial orbitals."""
    max_space: Annotated[int, Ge(1), Le(5_000_000)] = 50000
    """Largest number of determinants in the variational space V (flip pairs count once)."""
    accuracy: Positive = 2e-4
    """V grows until the second-order estimate of what it leaves out is below this (always up to 4096)."""
    energy_tolerance: Positive = 1e-6
    """Converged when two steps in a row change the energy by less than this."""
    max_steps: Annotated[int, Ge(1)] = 1000
    """Most optimisation steps."""
    time_limit: Positive | None = None
    """Stop optimising after this many seconds; what was reached is evaluated and written."""
    damping: Positive = 1e-3
    """Initial damping of Rayleigh-Gauss-Newton; the diagonal shift of sr is a tenth of it (with
    Monte Carlo: the same)."""
    learning_rate: Positive | None = None
    """Step of sr (default 0.3 per Hartree) or Adam (default 0.001)."""
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """SPRING momentum of sr, from 0 (plain SR) to below 1."""
    max_step: Positive | None = None
    """Bound on the change of the normalised state in a step (default: rgn 0.3, sr 0.1)."""
    dense_limit: Annotated[int, Ge(0), Le(30_000)] = 4096
    """Up to this size of V linear systems are factorised, above they are solved by conjugate gradients."""
    truncated: bool = True
    """Leave determinants outside V out of local energies, which makes the energy an upper bound; otherwise
    the network is evaluated on all connected determinants at every step (sr and adam only)."""
    tail_steps: Annotated[int, Ge(0)] = 0
    """Steps that train the network on samples of the determinants outside V, once V has settled."""
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
    sampling_power: Positive = 1.0
    """vmc: samples are drawn from |psi| to this power and reweighted; below 2, rare determinants are seen."""
    proposal: Literal["heat-bath", "uniform"] = "heat-bath"
    """vmc: Markov chains propose double excitations as the Hamiltonian couples them, or uniformly."""
    n_chains: Annotated[int, Ge(2)] = 64
    """vmc: Markov chains, each from its own determinant."""
    sweep_size: Annotated[int, Ge(1)] | None = None
    """vmc: proposals between two samples of a chain; left out: one for every spin orbital."""
    n_temperatures: Annotated[int, Ge(1)] = 1
    """vmc: replicas of every chain at higher temperatures (parallel tempering), an even number; 1 is none."""
    precision: Positive = 1e-4
    """vmc: sample the final state until the error of its energy is below this."""
    rdm2: bool = False
    """Also make the two-particle density matrices of the final state, check them, and write rdm.npz."""
    spin_penalty: Annotated[float, Ge(0)] = 0.0
    """Minimise H + this (Hartree) times S^2 - S(S+1), with S from 2S; energies reported are those of H."""
    seed: Seed = 0
    """Seed of the initial parameters, the only random numbers there are."""
