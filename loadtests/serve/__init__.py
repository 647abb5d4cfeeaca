"""What serving costs beside its peers: read models.py (what is served), measure.py, then the sections."""
