"""Rejoinder: from what users show in use to a better served model."""
