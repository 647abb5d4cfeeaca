"""Stubs generated from protos/rejoinder/v1 by `make gen`, committed; never edited by hand."""
