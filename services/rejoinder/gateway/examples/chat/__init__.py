"""A page that chats: read __main__.py (the page's own server, which keeps the application's key), then chat.js (what
the page sends by itself: thumbs, with the token that came with each answer)."""
