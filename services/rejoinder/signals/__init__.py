"""From what users do after an answer to signals.

Read core/rubric.py, extractors/, package.py, calibration.py, evaluation.py.
"""
