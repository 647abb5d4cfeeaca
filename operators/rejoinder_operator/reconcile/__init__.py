"""Observe, decide, act: loops, rounds, rollouts (one object a call); beside them queue, election, statuses, runner."""
