"""What the load tester is tested on: a server whose answers, delays, errors and capacity are known exactly (script.py,
server.py), and a model that sleeps instead of computing, under the real reward service (model.py, scorer.py).
"""
