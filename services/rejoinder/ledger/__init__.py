"""The ledger: what is known, joined and counted, rebuilt at will from the log.

Read protos/rejoinder/v1/ledger.proto (what it promises) → settings.py → stores/ (the tables, a SQLite file or
PostgreSQL) → intake/ (from the log into them) → erasure/ → book.py (`Ledger`, the facade) → reading/ (windows, queries,
trace) → service.py, __main__.py. NOTES.md says why it is order-free, and how two databases hold the same.
"""
