"""Models on a Triton server: its repository (repository.py), what its python backend runs (model.py), and who loads and
heals them (keeper.py). Whoever asks it is runtime/backends/triton.py.
"""
