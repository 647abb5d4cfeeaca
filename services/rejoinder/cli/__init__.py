"""The command line: main.py (the group and its errors), output.py (tables, JSON, progress), one file per command."""
