"""`rejoinder compile`: an exported encoder in other precisions, each with what it costs in exactness and what it gains
in speed, measured where it is made. Read variants.py for what is made, costs.py for what is measured, then making.py.
"""
