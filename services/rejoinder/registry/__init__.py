"""What was made, who claimed what, who is served: read store.py (exclusive create), artefacts.py, served.py, claims.py,
datasets.py (a round's pair sets).

Layout under one root (a folder, or any fsspec address whose store can create exclusively):

    artefacts/<digest>/…                        a folder of files, named by what it holds
    versions/<policy>/<version>.json            a version's manifest; a name is never used twice
    served/<policy>/<generation>.json           who is stable; the greatest generation is the truth
    rounds/<policy>/<number>/claim.json, closed.json
    stages/<key>.json                           the first complete output of a round's stage
"""
