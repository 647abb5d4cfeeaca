"""Field maps that fit many logs as they are: what a person writes beside `preset` comes before what stands here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # One answered request of an OpenAI-compatible server: request and response bodies, both in one object, or messages
    # with the answer beside them.
    "openai": {
        "form": "exchange",
        "messages": "request.messages || messages",
        "response": "response.choices[0].message || choices[0].message || answer",
        "id": "response.id || id",
        "conversation": "request.metadata.conversation_id || metadata.conversation_id || conversation_id",
        "user": "request.user || request.metadata.user_id || user || user_id",
        "model": "response.model || request.model || model",
        "at": "response.created || created || timestamp",
    },
    # A whole conversation in one record: ShareGPT's and WildChat's names.
    "sharegpt": {
        "form": "conversation",
        "messages": "conversations || conversation",
        "role": "from || role",
        "content": "value || content",
        "id": "id || conversation_hash || conversation_id",
        "user": "hashed_ip || user_id",
        "model": "model",
        "message_at": "timestamp",
    },
    # One message a record.
    "flat": {
        "form": "turns",
        "conversation": "conversation_id",
        "role": "role",
        "content": "content",
        "id": "message_id || id",
        "parent": "parent_id",
        "turn": "turn",
        "user": "user_id",
        "model": "model",
        "at": "created_at || timestamp",
    },
}
