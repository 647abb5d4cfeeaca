"""Other people's chat logs as our events.

Read conversation.py (a tree of turns), formats/ (one file a format), events.py, reader.py.
"""
