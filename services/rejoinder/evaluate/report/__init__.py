"""The page about one's own rounds: read page.py, then its sections (gates.py, satisfied.py, made.py, drift.py,
calibrated.py, judged.py); under them reading.py (values of others' files, refused by their field), rounds.py and
kinds.py (which values those are), parts.py (what every section is built of). Drawn with `rejoinder.plots`.
"""

from rejoinder.evaluate.report.page import page

__all__ = ["page"]
