"""People with hidden tastes: read tastes.py, reading.py, phrases.py, replies.py, ceilings.py, panel.py, traffic.py,
driver.py, recorder.py, sdk.py; report/ is the page.

The simulator alone knows tastes. It sees the product as its users do, and keeps what it knows in files of its own.
"""
