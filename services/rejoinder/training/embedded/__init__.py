"""The embedded base policy: read facts.py, corpus.py, tokenizer.py, base.py, sampling.py, probe.py, build.py."""
