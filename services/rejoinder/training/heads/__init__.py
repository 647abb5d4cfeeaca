"""Reward heads, the torch side. Read pairs.py (what comes in), model.py, cache.py, fit.py (how it is trained and how
its parts are weighed), package.py (small files in the package ↔ a model folder), `__main__.py`.

`python -m rejoinder.training.heads fit --pairs FILE …` makes the small files; `… export --out DIR` (seconds) merges
them into the installed encoder and writes two model folders: DIR/bt-v1 (reward) and DIR/minilm (text embeddings).
"""
