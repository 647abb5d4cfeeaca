"""Ingestion: OK means the log has it. Read feedback.proto, settings.py, service.py, ingest.py, validate.py, logs.py."""
