"""Policy generation: read policy.proto, settings.py, service.py, generator.py, then arms.py and versions.py."""
