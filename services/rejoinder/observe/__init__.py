"""Other people's chat logs as our events. README.md is how it is used.

Files: conversation.py (what is read), formats/ (one file a format), events.py, reader.py. Topics: paths.py and
fieldmap.py (the map), mapped.py (a record's events), turns.py (conversations of single messages), then settings.py,
observer.py (the work), sink.py, letters.py, __main__.py; check.py is the look before. Followed files: follow.py,
positions.py, formatted.py. HTTP: web.py (the port), posted.py; otlp.py, spans.py, traced.py.
"""
