"""The rollout engine of a laptop: rollouts.proto, settings.py, service.py, engine.py (observe, decide, act), then what
it stands on: tables.py (writing arms), judging.py (evidence), replicas.py, memory.py; report.py is for people."""
