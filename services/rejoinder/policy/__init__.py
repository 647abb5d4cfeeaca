"""Policy generation: read policy.proto, settings.py, service.py, checks.py, generator.py, attempt.py; then
versions.py (who is served what) and meter.py.
"""
