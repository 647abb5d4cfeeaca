"""An application that records its chats itself, on the spans' events: `python by_hand.py USER CITY`.

The first as conventions have it since 1.37, the second as they had it from 1.28 on: an event a message.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from opentelemetry import trace

TRACER = trace.get_tracer("shop")


def parts(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def main() -> None:
    user, city = sys.argv[1:]
    asked, answer, more = f"How warm is {city}?", f"20 C in {city}", f"And {city} by night?"
    whose = {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": user, "user.id": user}
    with TRACER.start_as_current_span("chat assist", attributes=whose) as span:
        span.add_event(
            "gen_ai.client.inference.operation.details",
            {
                "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
                "gen_ai.input.messages": json.dumps([parts("user", asked)]),
                "gen_ai.output.messages": json.dumps([parts("assistant", answer)]),
            },
        )
    with TRACER.start_as_current_span("chat assist", attributes=whose) as span:
        for role, text in (("system", "Be brief."), ("user", asked), ("assistant", answer), ("user", more)):
            span.add_event(f"gen_ai.{role}.message", {"content": text})
        message = {"index": 0, "message": {"content": f"12 C in {city}"}, "finish_reason": "stop"}
        span.add_event("gen_ai.choice", {"gen_ai.event.content": json.dumps(message)})


if __name__ == "__main__":
    main()
