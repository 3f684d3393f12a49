"""Do error bars of sampled energies and variances cover? Shares of seeds within one and two of them.

    python benchmarks/error_bars.py                        # 500 seeds of every state and sampler
    python benchmarks/error_bars.py --only "H2O" --seeds 100

Five states, two random and two part-trained molecules and a random lattice, each against its full sum: with
4,096 samples, the fewest that `nnbf evaluate` stops at, and few determinants summed exactly. Writes
results/error_bars.json and .md.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from _measure import RESULTS, machine_line, provenance, write_json
from scipy.stats import binom

from hamiltonians import (
    Lattice,
    build_molecule,
    irrep_bits,
    lattice_configurations,
    lattice_to_sparse,
    space_group,
)
from nnbf._text import markdown_table
from nnbf.determinants import spin_flip, unpack_occupations
from nnbf.drivers import LatticeOptions, SolverOptions, make_model, solve
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz
from nnbf.evaluation import (
    ChainSource,
    EvaluationOptions,
    OperatorSource,
    Samples,
    SampleSource,
    SectorSource,
    sample_energy,
)
from nnbf.evaluation.sampling_loop import PILOT_POWER
from nnbf.operators import MolecularHamiltonian
from nnbf.sampling import ordered_configuration
from nnbf.states import SpaceState, full_sum_energy, symmetry_sector
from nnbf.states.amplitudes import initial_variables, log_psi

SIGMAS = {1: 0.6827, 2: 0.9545}
#: Determinants that are summed exactly: few, so that there is something to sample.
LARGE = 12
Case = tuple[str, SampleSource, tuple[float, float]]


def shaken(variables: Any, scale: float, seed: int) -> Any:
    """Variables with normal noise on every one."""
    keys = iter(jax.random.split(jax.random.key(seed), 100))
    return jax.tree.map(lambda leaf: leaf + scale * jax.random.normal(next(keys), leaf.shape), variables)


def random_molecule(name: str, scale: float) -> tuple[Any, SpaceState]:
    """A network with random parameters: many determinants matter, and none as in an eigenstate."""
    system = build_molecule(name, "sto-3g", references=False)
    model = make_model(system, SolverOptions(hidden=(12,), noise=0.3))
    state = SpaceState(MolecularHamiltonian(system.integrals), model, seed=1)
    state.parameters = shaken(state.parameters, scale, 7)
    return system, state


def part_trained(name: str, most: int, **options: Any) -> tuple[Any, SpaceState]:
    """A network that was trained on the `most` largest determinants: no eigenstate outside of them."""
    system = build_molecule(name, "sto-3g", references=False)
    options = {"hidden": (16,), "max_steps": 25, "pt2": False, "projected": False, "tail_steps": 0, **options}
    return system, solve(system, SolverOptions(max_space=most, **options)).lowest.state


class Table(nn.Module):
    """psi looked up: chains over a small space cost their moves alone."""

    spin_flip_parity: int | None
    is_real: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Log psi (...,) of occupations (..., modes)."""
        table = self.param("log_psi", nn.initializers.zeros, (2 ** x.shape[-1],), complex)
        return table[jnp.sum((x > 0) * 2 ** jnp.arange(x.shape[-1]), axis=-1)]


def tabulated(occupations: np.ndarray, log_psi: np.ndarray) -> dict[str, Any]:
    """Variables of a `Table`: psi vanishes on everything that is not listed."""
    table = np.full(2 ** occupations.shape[1], -np.inf, complex)
    table[np.sum(occupations * 2 ** np.arange(occupations.shape[1]), axis=1)] = log_psi
    return {"params": {"log_psi": jnp.asarray(table)}}


class Drawn(SampleSource):
    """Independent samples of |psi|^p from a table, in as many chains as Metropolis ones: no memory."""

    method, unit, granule, chains = "metropolis", "Hartree", 1024, 64

    def __init__(self, source: SectorSource, *, summed: bool):
        """Tabulate local energies, or, where L is `summed`, what `ChainSource` averages."""
        n, table = source.n_large, source._table
        self._psi, self._count, self.reference = table.amplitudes, table.multiplicity, source.reference
        self.n_particles, self.infinite_temperature = source.n_particles, source.infinite_temperature
        own, other = table.rows(table.determinants[:n])
        own, other = np.append(own, source._reached), np.append(other, source._other)
        live = self._psi != 0
        psi = np.where(live, self._psi, 1.0)
        self._energy, self._second = (own + other) / psi, ((own + other) / psi) ** 2
        self._peaked, self._power = not summed, PILOT_POWER
        if summed:
            diagonal = np.where(own[n:] != 0, source._diagonal, 0.0)
            rest, known = (other[n:] - diagonal) / psi[n:], (own[n:] + diagonal) / psi[n:]
            known = np.where(own[n:] != 0, known, 0.0)
            share = (self._count * self._psi**2) / np.sum(self._count * self._psi**2)
            for values, outside in ((self._energy, rest), (self._second, rest * (rest + 2.0 * known))):
                total = share @ values
                values[n:] = outside
                values[:n] = (total - share[n:] @ outside) / share[:n].sum()

    @property
    def power(self) -> float:
        """Power of |psi| that is sampled."""
        return self._power

    def change_power(self, power: float) -> None:
        """Go on with another power."""
        self._power = power

    def draw(self, n_samples: int) -> Samples:
        """Draw independent determinants."""
        chances = np.cumsum(self._count * np.abs(self._psi) ** self._power)
        drawn = np.searchsorted(
            chances, self._rng.random((self.chains, -(-n_samples // self.chains))) * chances[-1]
        )
        return Samples(
            energy=self._energy[drawn],
            second=self._second[drawn],
            log_abs=np.log(np.abs(self._psi[drawn])),
            packed=drawn[..., None].view(np.uint8),
            power=self._power,
            peaked=self._peaked,
        )


def molecular_sources(label: str, system: Any, state: SpaceState) -> Iterator[Case]:
    """Independent samples, and those of chains with and without L summed, of one state."""
    irreps, integrals, hamiltonian = irrep_bits(system.integrals), system.integrals, state.hamiltonian
    sector = symmetry_sector(state, irreps, 100_000)
    exact = full_sum_energy(state, sector)
    source = SectorSource(state, sector, EvaluationOptions(large=LARGE))
    source.full_sum()  # all rows, once: each seed costs no more than its draws
    yield f"{label}: independent", source, exact
    yield f"{label}: |psi|^p, L summed", Drawn(source, summed=True), exact
    yield f"{label}: |psi|^p", Drawn(source, summed=False), exact
    if not label.startswith("H2O"):  # a quarter of an hour for 500 seeds
        return
    sign, log_abs = state.signed_log(sector)
    rows = [sector, spin_flip(sector)] if state.spin_flip else [sector]
    logs = np.tile(log_abs - log_abs.max() + 1j * np.pi * (sign < 0), len(rows))
    listed = unpack_occupations(np.concatenate(rows), integrals.n_orbitals)
    variables, model = tabulated(listed, logs), Table(1 if state.spin_flip else None)
    looked_up = SimpleNamespace(
        hamiltonian=hamiltonian,
        model=model,
        variables=variables,
        spin_flip=state.spin_flip,
        signed_log=state.signed_log,
    )
    large = sector[np.argsort(-log_abs)[:LARGE]]
    options = EvaluationOptions(large=LARGE)
    yield f"{label}: Metropolis, L summed", ChainSource(looked_up, irreps, options, large=large), exact


def lattice_source(label: str, interaction: float, scale: float) -> Iterator[Case]:
    """Chains of a random state of t-V 4x2 with 3 particles."""
    model = Lattice("tv", (4, 2), 3, V=interaction, boundary=("apbc", "pbc"))
    sector = space_group(model).sector((1, 1), None)
    ansatz = make_lattice_ansatz(model, sector, LatticeOptions(features=3, depth=1, cell=(1, 1)), "vmc")
    example = jnp.asarray(ordered_configuration(model))[None]
    variables = shaken(initial_variables(ansatz, jax.random.key(0), example), scale, 3)
    listed = lattice_configurations(model).astype(np.int8)
    logs = log_psi(ansatz, variables, listed, 64)
    psi = np.exp(logs)
    applied = lattice_to_sparse(model) @ psi
    norm = np.sum(np.abs(psi) ** 2)
    energy = float(np.vdot(psi, applied).real / norm)
    variance = float(np.sum(np.abs(applied - energy * psi) ** 2) / norm)
    variables, options = tabulated(listed, logs), EvaluationOptions(chains=64)
    yield label, OperatorSource(model, Table(None, False), variables, options), (energy, variance)


STATES: dict[str, Callable[[str], Iterator[Case]]] = {
    "H2O, random": lambda label: molecular_sources(label, *random_molecule("H2O", 0.2)),
    "N2, random": lambda label: molecular_sources(label, *random_molecule("N2", 0.3)),
    "LiH, part trained": lambda label: molecular_sources(label, *part_trained("LiH", 30, spin_flip="none")),
    "N2, part trained": lambda label: molecular_sources(label, *part_trained("N2", 100)),
    "t-V 4x2, random: Metropolis": lambda label: lattice_source(label, 1.5, 0.3),
}


def covered(source: SampleSource, exact: tuple[float, float], seeds: int) -> dict[str, Any]:
    """Shares of seeds within one and two error bars of the full sum."""
    found, started = [], time.perf_counter()
    for seed in range(seeds):
        if not isinstance(source, ChainSource | OperatorSource):  # which go on
            source._rng = np.random.default_rng(seed)
        if isinstance(source, Drawn):
            source.change_power(PILOT_POWER)
        found.append(sample_energy(source, EvaluationOptions(precision=10.0))[0])
    record: dict[str, Any] = {"seconds": time.perf_counter() - started}
    for quantity, value in zip(("energy", "variance"), exact, strict=True):
        deviations = np.array([getattr(one, quantity).value - value for one in found])
        errors = np.array([getattr(one, quantity).error for one in found])
        within = {sigmas: int(np.count_nonzero(np.abs(deviations) < sigmas * errors)) for sigmas in SIGMAS}
        record[quantity] = {
            "exact": value,
            "median_error": float(np.median(errors)),
            "spread": float(deviations.std(ddof=1)),
            "bias": float(deviations.mean() / (deviations.std(ddof=1) / np.sqrt(seeds))),
            "within": within,
            "holds": all(
                limits(seeds, share)[0] <= within[sigmas] <= limits(seeds, share)[1]
                for sigmas, share in SIGMAS.items()
            ),
        }
    return record


def limits(seeds: int, share: float) -> tuple[int, int]:
    """Counts that 99.9 % of as many trials give."""
    low, high = binom.interval(0.999, seeds, share)
    return int(low), int(high)


def markdown(content: dict[str, Any]) -> str:
    """The shares, with what their limits are."""
    seeds = content["seeds"]
    heads = ["state and sampler"]
    for quantity in ("energy", "variance"):
        heads += [f"{quantity}: within 1 (%)", "2 (%)", "spread / bar", "bias / its error"]
    rows = []
    for name, one in content["cases"].items():
        cells = [name]
        for quantity in ("energy", "variance"):
            part = one[quantity]
            shares = [f"{100 * part['within'][sigmas] / seeds:.1f}" for sigmas in SIGMAS]
            ratio = f"{part['spread'] / part['median_error']:.2f}"
            cells += [shares[0], shares[1] + ("" if part["holds"] else " (!)"), ratio, f"{part['bias']:+.1f}"]
        rows.append(cells)
    lines = [
        "# Coverage of error bars",
        "",
        machine_line(content["provenance"]),
        "",
        markdown_table(heads, rows, numbers=range(1, len(heads))),
        "",
    ]
    for sigmas, share in SIGMAS.items():
        low, high = limits(seeds, share)
        lines.append(
            f"Within {sigmas}: {100 * low / seeds:.1f} to {100 * high / seeds:.1f} % of {seeds} seeds are "
            f"compatible with {100 * share:.1f} % (binomial, 99.9 %)."
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Return 1 where some bar does not cover."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="states whose name begins with this")
    parser.add_argument("--sampler", default="", help="samplers whose name contains this")
    parser.add_argument("--seeds", type=int, default=500)
    arguments = parser.parse_args()
    content: dict[str, Any] = {"provenance": provenance(), "seeds": arguments.seeds, "cases": {}}
    for label, sources in STATES.items():
        if not label.startswith(arguments.only):
            continue
        for name, source, exact in sources(label):
            if arguments.sampler in name:
                content["cases"][name] = covered(source, exact, arguments.seeds)
                print(name, content["cases"][name], flush=True)
    if not (arguments.only or arguments.sampler):
        write_json(RESULTS / "error_bars.json", content)
        (RESULTS / "error_bars.md").write_text(markdown(content), encoding="utf-8")
    print(markdown(content))
    return (
        0 if all(one[q]["holds"] for one in content["cases"].values() for q in ("energy", "variance")) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
