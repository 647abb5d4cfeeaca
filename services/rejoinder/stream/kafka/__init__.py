"""The log on Apache Kafka. Read settings.py (what can be turned), log.py (the whole), then its parts: topics.py (made
and checked at start), appender.py, reader.py, member.py, transaction.py; library.py is all that knows kafka-python's
peculiarities. Topics, ACLs and what brokers must be set to: ../NOTES.md."""
