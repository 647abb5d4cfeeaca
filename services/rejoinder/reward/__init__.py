"""Scores answers by what people prefer. Read protos/rejoinder/v1/reward.proto, settings.py, service.py, scorer.py,
heads/ (the table), tensors.py (the Open Inference Protocol), then evaluation.py and offline.py (how good a head is on
pairs people judged).
"""
