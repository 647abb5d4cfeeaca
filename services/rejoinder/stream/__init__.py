"""The log. Read port.py (what it promises), then memory.py and sqlite.py (two logs; groups.py and writer.py are their
hearts), follower.py (beside an owner), headers.py (events as records), consumer.py (the worker), deadletters.py."""
