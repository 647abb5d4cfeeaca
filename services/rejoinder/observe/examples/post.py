"""What an application does when a turn is over: `python post.py http://127.0.0.1:8070` [token]. It needs no package."""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

TURN = {
    "id": "answer-7",  # Yours: sent again under it, it counts once.
    "conversation_id": "conversation-3",
    "user": "ann",
    "model": "shop-chat-2026-02",
    "messages": [{"role": "user", "content": "How warm is it in Oslo?"}],
    "answer": "68 F",
}
THUMB = {"interaction_id": "answer-7", "rating": {"number": 0, "scale_min": 0, "scale_max": 1}}


def post(url: str, body: Any, token: str = "") -> Any:
    """Raises HTTPError: 429 and 503 say in Retry-After when to send the same again."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
        return json.load(answer)


if __name__ == "__main__":
    print(post(f"{sys.argv[1]}/v1/turns", TURN, *sys.argv[2:]))
    print(post(f"{sys.argv[1]}/v1/feedback", {"events": [THUMB]}, *sys.argv[2:]))
