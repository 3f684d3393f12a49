"""No energy that is called an upper bound lies below the exact one: 204 random Hamiltonians."""

import numpy as np
import pytest

from nnbf.drivers import SolverOptions, solve
from tests.determinants.oracles import lowest_energy, random_system

pytestmark = pytest.mark.slow

SEEDS = 34


@pytest.mark.parametrize(
    ("size", "n_alpha", "n_beta", "spin_resolved"),
    [
        (2, 1, 1, False),
        (3, 2, 1, False),
        (3, 1, 1, True),
        (3, 2, 0, False),
        (4, 2, 2, False),
        (4, 1, 2, True),
    ],
)
def test_upper_bounds(size, n_alpha, n_beta, spin_resolved):
    even_spin = n_alpha == n_beta and not spin_resolved
    margins = []
    for seed in range(SEEDS):
        # Strong coupling, so that a few steps end anywhere between the reference and the ground state.
        system = random_system(
            size, n_alpha, n_beta, seed, spin_resolved=spin_resolved, scale=(0.1, 0.5, 2.0)[seed % 3]
        )
        exact = lowest_energy(system.integrals, even_spin=even_spin)
        options = SolverOptions(
            hidden=(4,),
            n_determinants=1,
            seed=seed,
            max_steps=2 + seed % 5,
            # Part of the sector, or all of it.
            tail_steps=0,
            max_space=3 if seed % 2 else 1000,
            projected=False,
        )
        result = solve(system, options).lowest
        for kind in ("variational", "full_sum"):
            assert result.estimates[kind].upper_bound
            assert result.estimates[kind].value > exact - 1e-8, (seed, kind)
        inside = np.linalg.eigvalsh(result.state.matrix.toarray())[0]
        assert result.estimates["variational"].value > inside - 1e-8, seed
        assert result.energy.value > exact - 1e-8, seed
        margins.append(result.energy.value - exact)
    # The bounds are put to the test: some runs are exact, and some are not.
    assert min(margins) < 1e-2
    assert max(margins) > 0.1
