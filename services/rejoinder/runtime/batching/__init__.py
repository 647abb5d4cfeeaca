"""Rows of many callers through one model: batcher.py over plan.py, backlog.py and pace.py.

Heads and rankers use it through textmodel.py and causalmodel.py.
"""
