"""Ingestion: OK means the log has it. Read feedback.proto, settings.py, service.py, ingest.py, validate.py, logs.py.

What a request meets on its way where settings ask for it: quotas.py, and redact.py with core/finders.py.
"""
