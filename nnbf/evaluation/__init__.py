"""The energy of a trained state by sampling: large determinants summed exactly, the rest drawn.

Names are loaded on first use: options can be read, and refused, without waiting for NetKet.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "amplitude_table": ["AmplitudeTable"],
        "determinant_chains": ["ChainSource"],
        "samplers": ["make_source"],
        "samples": ["EvaluationOptions", "SampleSource", "Samples"],
        "sampling_loop": ["Evaluation", "sample_energy"],
        "state_source": ["OperatorSource", "StateSource"],
        "tabulated_sector": ["SectorSource"],
        "zero_variance": ["Extrapolation", "Point", "extrapolate", "settled_points"],
    },
)
