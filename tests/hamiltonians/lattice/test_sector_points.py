import numpy as np
import pytest

from hamiltonians import Lattice, all_sectors, lattice_configurations
from hamiltonians.lattice.exact import sector_basis
from hamiltonians.lattice.sector_points import sector_points

MODELS = {
    "square, doublets": Lattice("tv", (4, 4), 3, V=1.3),
    "triangular": Lattice("tv", (3, 3), 4, V=1.3, geometry="triangular"),
    "honeycomb": Lattice("tv", (2, 2), 3, V=1.0, geometry="honeycomb"),
    "twist, two spins": Lattice("hubbard", (2, 3), (2, 1), U=4.0, boundary=(0.13, "apbc")),
    "two spins": Lattice("hubbard", (3, 3), (2, 1), U=4.0),
}


@pytest.mark.parametrize("name", MODELS)
def test_coordinates_of_any_state_follow_from_the_points(name):
    model = MODELS[name]
    places = {bytes(c): i for i, c in enumerate(lattice_configurations(model))}
    rng = np.random.default_rng(0)
    dimensions = set()
    for sector in all_sectors(model):
        basis = sector_basis(model, sector)
        vector = rng.normal(size=basis.n_states)
        if not basis.is_real:
            vector = vector + 1j * rng.normal(size=basis.n_states)
        for row in range(sector.dimension):
            points, transform = sector_points(basis, row)
            psi = basis.expand(vector[:, None], row)[:, 0]
            found = transform @ psi[[places[bytes(point)] for point in points]]
            assert np.allclose(found, vector, rtol=0, atol=1e-12)
        dimensions.add(sector.dimension)
    assert (2 in dimensions) == (name not in ("twist, two spins",))
