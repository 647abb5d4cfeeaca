"""The three kinds as typed specs, and the CRDs made of them: fields, loops, rounds, rollouts, crd."""
