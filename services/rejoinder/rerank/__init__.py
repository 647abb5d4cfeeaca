"""Orders candidates and logs the slate with its propensities. Read protos/rejoinder/v1/rerank.proto, settings.py,
service.py, reranker.py (the work), rankers/ (the table), arrange.py (from scores to a slate).
"""
