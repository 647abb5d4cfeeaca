"""The demonstration's result as one page: read page.py, headline.py, curves.py, costs.py, verdicts.py,
tables.py, lineage.py; under them series.py, plot.py (scales, axes, bands), numerals.py (how a number is
written), markup.py (what is escaped), style.py.
"""

from rejoinder.simulate.report.page import page

__all__ = ["page"]
