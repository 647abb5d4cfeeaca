"""A user is forgotten: erase.py takes the request, forget.py empties rows, verify.py is the proof.

marks.py says which records an erasure covers; owed.py and rawcopies.py what may still lie in files and on the log.
"""
