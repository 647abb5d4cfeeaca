"""How well the deployed extractor reads this deployment's own traffic: a person labels a sample, figures come back.

Read sample.py (which turns), sheet.py (what the person fills in), ask.py (the two together), estimates.py (figures of
the whole traffic), refit.py (probabilities and thresholds that the labels ask for), report.py (all of it).
"""
