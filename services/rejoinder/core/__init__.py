"""Plain values and rules that every room shares: read types.py, then codec.py, errors.py, table.py."""
