"""From the log into the ledger: projector.py, one batch in one transaction, over settler.py and linker.py.

settle.py and joins.py are their pure rules; relay.py tells the log what was joined; replay.py makes a ledger anew.
"""
