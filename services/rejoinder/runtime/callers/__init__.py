"""Who calls, and what they may: auth.py (jwts.py and jwks.py for an issuer's tokens), roles.py, rates.py, tls.py;
theme.py is the other side, what a process shows when it calls another.
"""
