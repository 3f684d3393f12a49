"""Pictures of sweeps: basis-set limits, potential-energy curves, growth with size.

Each takes plain records and returns a Matplotlib figure; `nnbf.report.plot.png` turns it into a file.
"""

from nnbf.report._sweep_curve import draw_curve
from nnbf.report._sweep_limit import draw_basis_limit
from nnbf.report._sweep_size import draw_scaling

__all__ = ["draw_basis_limit", "draw_curve", "draw_scaling"]
