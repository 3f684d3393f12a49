"""Analyses of many runs together: basis-set limits, potential curves, cost, growth with size.

NumPy and SciPy alone: plain numbers and records go in, data classes come out.
"""

from nnbf.analysis.basis_limit import (
    BasisLimit,
    BasisPoint,
    FormulaValue,
    PartLimit,
    basis_limit,
    basis_points,
    formula_curve,
)
from nnbf.analysis.basis_names import basis_family, cardinal_number, common_family
from nnbf.analysis.curves import (
    CurveFit,
    DiatomicConstants,
    NonParallelity,
    diatomic_constants,
    non_parallelity,
    reduced_mass,
)
from nnbf.analysis.findings_tables import (
    FindingsBlock,
    FindingsSection,
    findings_markdown,
    findings_sections,
)
from nnbf.analysis.scaling import (
    PowerLaw,
    ScalingTable,
    fit_power_law,
    scaling_table,
    time_per_step,
    time_to_accuracy,
)

__all__ = [
    "BasisLimit",
    "BasisPoint",
    "CurveFit",
    "DiatomicConstants",
    "FindingsBlock",
    "FindingsSection",
    "FormulaValue",
    "NonParallelity",
    "PartLimit",
    "PowerLaw",
    "ScalingTable",
    "basis_family",
    "basis_limit",
    "basis_points",
    "cardinal_number",
    "common_family",
    "diatomic_constants",
    "findings_markdown",
    "findings_sections",
    "fit_power_law",
    "formula_curve",
    "non_parallelity",
    "reduced_mass",
    "scaling_table",
    "time_per_step",
    "time_to_accuracy",
]
