"""Plot, page and tables of one run or several, made from the files of their folders alone."""

from nnbf.report.collection import WrittenCollection, write_collection
from nnbf.report.energies import EnergyRow, Yardstick, best_reference, energy_rows
from nnbf.report.runs import RunRecord, read_run
from nnbf.report.write import WrittenReport, write_report

__all__ = [
    "EnergyRow",
    "RunRecord",
    "WrittenCollection",
    "WrittenReport",
    "Yardstick",
    "best_reference",
    "energy_rows",
    "read_run",
    "write_collection",
    "write_report",
]
