"""The load tester: requests leave when the schedule says so, whatever became of those before.

Read arrivals.py (when), scenario.py (what a file says), generator.py (one process's loop), tally.py (what it found),
worker.py and run.py (many processes, one report).
"""
