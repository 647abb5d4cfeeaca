"""From what users do after an answer to signals.

Read core/rubric.py, extractors/, language.py, package.py, calibration.py, evaluation.py; then recalibration.py and
audit/, what a deployment's own labels say and change.
"""
