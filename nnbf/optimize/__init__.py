"""Optimisers of wave functions: (init, propose, adapt) on a tangent problem."""

from nnbf.optimize.first_order import FirstOrder
from nnbf.optimize.rgn import Proposal, RayleighGaussNewton
from nnbf.optimize.sr import StochasticReconfiguration
from nnbf.optimize.structured import GradientFactors, gradient_factors, jvp, tangent_kernel, vjp
from nnbf.optimize.tangent import TangentProblem

__all__ = [
    "FirstOrder",
    "GradientFactors",
    "Proposal",
    "RayleighGaussNewton",
    "StochasticReconfiguration",
    "TangentProblem",
    "gradient_factors",
    "jvp",
    "tangent_kernel",
    "vjp",
]
