"""The way in over HTTP: read settings.py, app.py (the routes), guard.py (what stands around each), chat.py (asked.py,
followups.py); then the two upstreams, policy.py and openai.py (arms.py, attempt.py, passing.py, sse.py; adapters.py;
openai_server.py over wire.py); models.py, rerank.py, feedback.py (tokens.py, marks.py); errors.py, server.py,
service.py, meter.py beneath them.
"""
