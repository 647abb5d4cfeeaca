"""Where the ledger lies: schema.py and rows.py, store.py over sqlite.py and postgres.py (dialect.py is what differs).

migrate.py and migrations/ are how the tables came to be; partitions.py and retention.py, snapshot.py, digest.py are
about whole days and whole ledgers.
"""
