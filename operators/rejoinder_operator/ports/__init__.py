"""Everything outside, each behind a small port: cluster (what is asked of the API server), kube (the client), cache,
registry, ledger, replicas; and writes, the one way out."""
