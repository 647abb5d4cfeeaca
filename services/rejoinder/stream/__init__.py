"""The log. Read port.py (what a log promises), then memory.py and sqlite.py (the logs), consumer.py (the loop)."""
