"""Training: everything that needs torch. Read STAGE.md (the contract), settings.py, pairs.py (what comes in), turns.py
and examples.py (the same as tokens), pack.py (the prompt once), logps.py, views.py, objectives/ (the table),
adapters.py, loop.py, stage.py; then likelihood.py, export.py and parity.py, which leave the room as plain files."""
