"""A chat application as they are written, which knows of no tracing and not of us: `python chat.py URL USER CITY`.

Its user asks what takes a tool, is told in one piece, and says more, which is answered in pieces.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openai

WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def main() -> None:
    url, user, city = sys.argv[1:]
    client = openai.OpenAI(api_key="unused", base_url=url)
    asked = {"model": "assist-base", "user": user}
    history: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"How warm is {city}?"},
    ]
    message = client.chat.completions.create(messages=history, tools=[WEATHER], **asked).choices[0].message
    history.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls or []:
        content = json.dumps({"celsius": 20, "city": city})
        history.append({"role": "tool", "tool_call_id": call.id, "content": content})
    message = client.chat.completions.create(messages=history, **asked).choices[0].message
    history += [{"role": "assistant", "content": message.content}, {"role": "user", "content": f"And {city} by night?"}]
    for chunk in client.chat.completions.create(messages=history, stream=True, **asked):
        print(chunk.choices[0].delta.content or "", end="")


if __name__ == "__main__":
    main()
