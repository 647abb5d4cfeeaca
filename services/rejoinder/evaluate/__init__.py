"""Measures of what was built: gate, benchmarks and simulations, each a module with its command."""
