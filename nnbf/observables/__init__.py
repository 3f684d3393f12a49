"""Observables of states, exact or from samples: each is a function that `observable` registers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "density_matrices": ["TwoBodyDensity"],
        "measurements": [
            "LatticeMeasurement",
            "MolecularMeasurement",
            "lattice_observables",
            "molecular_observables",
        ],
        "observable_registry": [
            "Observable",
            "Observables",
            "measure",
            "observable",
            "registered_observables",
        ],
        "natural": ["NaturalOrbitals", "natural_orbital_system"],
        "weighted_configurations": ["Configurations"],
    },
)
