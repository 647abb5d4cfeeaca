"""What the ledger answers: windows.py over ready.py, view.py and cut.py, judged.py for verdicts, queries.py, trace.py.

answers.py alone gives words to people; evidence.py is for readers that keep their place.
"""
