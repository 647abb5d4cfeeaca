"""What an answer carries so that a reaction finds it: ids in headers and in the body, and a token for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rejoinder.core.types import Interaction
from rejoinder.gateway.tokens import Tokens

#: Of the body: the official clients keep fields that they do not know.
FIELD = "rejoinder"


@dataclass(frozen=True)
class Marks:
    headers: tuple[tuple[str, str], ...]
    field: dict[str, Any]


class Marker:
    """tokens: None where pages may not send feedback by themselves."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    def of(self, asked: Interaction, interaction_id: str, attempts: Sequence[str], version: str = "") -> Marks:
        """asked: whom it is for. attempts: one for each choice."""
        headers = [("x-rejoinder-interaction", _ascii(interaction_id)), ("x-rejoinder-attempt", ",".join(attempts))]
        field: dict[str, Any] = {"interaction_id": interaction_id, "attempt_id": attempts[0]}
        if len(attempts) > 1:
            field["attempt_ids"] = list(attempts)
        if asked.conversation_id:
            field["conversation_id"] = asked.conversation_id
        if version:
            headers.append(("x-rejoinder-version", _ascii(version)))
            field["version"] = version
        if self._tokens is not None:
            field["feedback_token"], field["feedback_token_expires"] = self._tokens.of(
                asked.tenant, asked.user_id, asked.conversation_id, interaction_id, tuple(attempts)
            )
        headers.append(("x-request-id", attempts[0]))
        return Marks(tuple(headers), field)


def _ascii(name: str) -> str:
    return quote(name, safe="/:;@&=+$,!*'()?# ")
