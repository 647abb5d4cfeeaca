"""Orders candidates and logs the slate with its propensities. Read protos/rejoinder/v1/rerank.proto, settings.py,
service.py, checks.py (what may be asked for), reranker.py (the work), rankers/ (the table), arrange.py (to a slate),
tensors.py (the Open Inference Protocol).
"""
