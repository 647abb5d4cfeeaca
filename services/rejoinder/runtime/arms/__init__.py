"""Who is served what, as each process that draws arms follows it: follow.py.

listed.py tells it, meter.py counts it, theme.py says where to hear of it.
"""
