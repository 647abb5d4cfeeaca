"""Text columns that hold the same and sort the same on both databases.

Order and equality are those of the UTF-8 bytes (PostgreSQL: collation "C"), as pages and digests go by them. U+0000,
which protobuf allows and PostgreSQL's text does not, is written there as U+0001 U+0001, and U+0001 as U+0001 U+0002:
reversible, and in the same order.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine


def escaped(text: str) -> str:
    """Without U+0000; most texts hold neither character and are answered as they are."""
    if "\x00" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return text


def unescaped(text: str) -> str:
    if "\x01" in text:
        return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    return text


class Name(TypeDecorator[str]):
    """An id, a name or a digest."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else self.impl_instance)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return escaped(value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return unescaped(value) if value is not None and dialect.name == "postgresql" else value


class Words(Name):
    """Text of any length: users' words, canonical JSON."""

    impl = Text
    cache_ok = True
