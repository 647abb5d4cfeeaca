"""Pages that need nothing else, drawn by our own hand: read markup.py (what is escaped), plot.py (scales, axes, bands),
panels.py (plots under each other), document.py (the page around them), numerals.py (how a number is written), style.py.
"""
