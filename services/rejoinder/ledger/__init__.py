"""The ledger: what is known, joined and counted, rebuilt at will from the log.

Read protos/rejoinder/v1/ledger.proto (what it promises) → settings.py → schema.py (the tables), migrate.py (how they
came to be), dialect.py (a SQLite file, or PostgreSQL) → rows.py (event ↔ row) → projector.py (one batch, one
transaction) with settle.py (which copy wins), joins.py (which answer a feedback is about) and forget.py (erasure) →
book.py (`Ledger`, the facade) → windows.py, queries.py, trace.py, digest.py, replay.py, retention.py → service.py,
__main__.py. NOTES.md says why it is order-free, and how two databases hold the same.
"""
