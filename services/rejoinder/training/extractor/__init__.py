"""The signal encoder's training: text.py (what it learns from), model.py, fit.py, rating.py, export.py."""
