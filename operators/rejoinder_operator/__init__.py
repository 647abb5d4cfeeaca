"""The operator of a cluster: `python -m rejoinder_operator [--settings FILE]`.

Read in this order: `api/` (the three kinds, what a person may ask for) → `decide/` (pure: what to do next, a table a
kind) → `reconcile/` (observe, decide, act for one object; queue, election, watches) → `ports/` (the API server, the
registry, the log; every write in `ports/writes.py`) → `__main__.py` (the wiring).
"""
