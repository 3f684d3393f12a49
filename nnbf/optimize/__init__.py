"""Optimisers of wave functions: (init, propose, adapt) on a tangent problem."""

from nnbf._runtime import enable_double_precision
from nnbf.optimize.fit import FitToVector
from nnbf.optimize.gradient import FirstOrder, StochasticReconfiguration
from nnbf.optimize.rgn import RayleighGaussNewton
from nnbf.optimize.structured import GradientFactors, gradient_factors, jvp, tangent_kernel, vjp
from nnbf.optimize.tangent import ExplicitProblem, Proposal, SampledProblem, TangentProblem

__all__ = [
    "ExplicitProblem",
    "FirstOrder",
    "FitToVector",
    "GradientFactors",
    "Proposal",
    "RayleighGaussNewton",
    "SampledProblem",
    "StochasticReconfiguration",
    "TangentProblem",
    "gradient_factors",
    "jvp",
    "tangent_kernel",
    "vjp",
]

# Linear systems are solved in doubles, whichever name of the package is imported first.
enable_double_precision()
