"""A round: window → pairs → train → export → gate → publish.

Read recipe.py (what is chosen), pairs/ (from evidence to preferences), stages.py (resume, claims), runner.py, plan.py.
"""
