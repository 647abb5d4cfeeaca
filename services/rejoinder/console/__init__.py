"""The console, where people see the loop and decide: read settings.py, app.py (the routes), desk.py (who visits, with
what right); then pages/ (a file a page, its template beside it in templates/). sources.py asks the services with the
visitor's own token, looks.py records who saw users' words, sessions.py keeps who is signed in; words.py, chart.py and
render.py make what is shown. The HTTP server and the guard around each request are the gateway's.
"""
