"""Regular expressions that cannot hang: many patterns are searched for in one walk over a text.

The time is in proportion to the text, whatever pattern and text are: all ways to match are followed at once (Thompson
1968), and the sets of places so reached are remembered as states of an automaton that is built while texts are read. So
there is nothing to go back to, and nothing that would ask for it: no backreference, no look-around, no possessive
repeat. What is left is written as RE2 and Python write it:

    abc  .  [a-z]  [^a-z]  \\d \\w \\s \\D \\W \\S  \\b \\B  ^ $  (…)  (?:…)  a|b  *  +  ?  {m}  {m,}  {m,n}

Letter case is not looked at, a dot is any character, `^` and `$` are the text's two ends. A pattern says whether it
stands in a text, not where.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rejoinder.core.errors import BadSettings

#: Characters of a pattern, groups within one another, the largest count of a repeat.
MOST_CHARS, MOST_DEPTH, MOST_REPEAT = 500, 20, 200
#: Places of all patterns together when repeats are written out, and different signs and classes in them: what one
#: character of a text can cost at most.
MOST_PLACES, MOST_SETS = 1_000, 320
#: States, bytes of them and of their edges (roughly), and characters that are remembered; beyond them the memory begins
#: anew.
MOST_STATES, MOST_BYTES, MOST_KNOWN = 4_000, 8_000_000, 65_536
#: Bytes of a state beside its kernel, and of an edge.
_STATE, _EDGE = 700, 60

_COUNT = re.compile(r"\{(\d{1,3})(,(\d{0,3}))?\}", re.ASCII)
_BEGIN, _WORD, _OTHER = 0, 1, 2
_END = ""


class BadPattern(BadSettings):
    """What is no pattern here. The message has its place, never its words."""


def _bad(why: str, at: int) -> BadPattern:
    return BadPattern(f"{why} (character {at + 1} of the pattern)")


@dataclass(frozen=True)
class _Node:
    """kind: set | assert | chain | either | repeat. what: the class's or assertion's text. most: None without end."""

    kind: str
    what: str = ""
    parts: tuple[_Node, ...] = ()
    least: int = 1
    most: int | None = 1

    @property
    def places(self) -> int:
        """When repeats are written out."""
        inner = sum(part.places for part in self.parts)
        if self.kind == "repeat":
            return (inner + 1) * max(self.least + (self.most is None), self.most or 0, 1)
        return inner + (len(self.parts) if self.kind == "either" else 1)


class _Reader:
    """One pattern's text, read once from left to right. owns: the place."""

    def __init__(self, text: str) -> None:
        if len(text) > MOST_CHARS:
            raise BadPattern(f"a pattern has at most {MOST_CHARS} characters")
        self._text, self._at = text, 0

    def node(self) -> _Node:
        found = self._either(0)
        if self._at < len(self._text):
            raise _bad("a closing parenthesis without an opening one", self._at)
        return found

    def _either(self, depth: int) -> _Node:
        ways = [self._chain(depth)]
        while self._take("|"):
            ways.append(self._chain(depth))
        return ways[0] if len(ways) == 1 else _Node("either", parts=tuple(ways))

    def _chain(self, depth: int) -> _Node:
        parts = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeated(self._one(depth)))
        return _Node("chain", parts=tuple(parts))

    def _one(self, depth: int) -> _Node:
        at, sign = self._at, self._text[self._at]
        self._at += 1
        if sign == "(":
            if depth == MOST_DEPTH:
                raise _bad(f"more than {MOST_DEPTH} groups within one another", at)
            if self._take("?") and not self._take(":"):
                raise _bad("a group begins with ( or (?: alone; look-arounds, names and flags are not taken", at)
            inner = self._either(depth + 1)
            if not self._take(")"):
                raise _bad("a group without its end", at)
            return inner
        if sign in "^$":
            return _Node("assert", sign)
        if sign == "\\":
            return self._escaped(at)
        if sign == "[":
            return _Node("set", self._class(at))
        if sign in "*+?{":
            raise _bad("a repeat of nothing; a plain one is written with a backslash before it", at)
        return _Node("set", sign if sign == "." else re.escape(sign))

    def _escaped(self, at: int) -> _Node:
        sign = self._text[self._at : self._at + 1]
        self._at += 1
        if sign in ("b", "B"):
            return _Node("assert", sign)
        if sign in tuple("dwsDWSnrtfv"):
            return _Node("set", "\\" + sign)
        if sign == "" or sign.isalnum():
            raise _bad("a backslash stands before d w s D W S b B n r t f v, or before a sign", at)
        return _Node("set", re.escape(sign))

    def _class(self, at: int) -> str:
        self._take("^")
        self._take("]")
        while self._text[self._at : self._at + 1] != "]":
            if self._at >= len(self._text):
                raise _bad("a character class without its end", at)
            if self._text[self._at] == "[" or self._text[self._at : self._at + 2] in ("--", "&&", "||", "~~"):
                raise _bad("in a character class a bracket, and a sign that stands twice, need a backslash", self._at)
            if self._text[self._at] == "\\":
                self._at += 1
                if self._text[self._at : self._at + 1].isalnum() and self._text[self._at] not in "dwsDWSnrtfv":
                    raise _bad("a backslash in a class stands before d w s D W S n r t f v, or before a sign", self._at)
            self._at += 1
        self._at += 1
        written = self._text[at : self._at]
        try:
            re.compile(written)
        except re.error:
            raise _bad("no character class: its range runs backwards, or it has no end", at) from None
        return written

    def _repeated(self, node: _Node) -> _Node:
        at = self._at
        if self._take("*"):
            least, most = 0, None
        elif self._take("+"):
            least, most = 1, None
        elif self._take("?"):
            least, most = 0, 1
        elif self._text[at : at + 1] == "{":
            counted = _COUNT.match(self._text, at)
            if counted is None:
                raise _bad("a count is written {m}, {m,} or {m,n}; a plain brace with a backslash before it", at)
            self._at = counted.end()
            least = int(counted[1])
            most = least if counted[2] is None else int(counted[3]) if counted[3] else None
            if max(least, most or 0) > MOST_REPEAT or (most is not None and most < least):
                raise _bad(f"a count goes from less to more, up to {MOST_REPEAT}", at)
        else:
            return node
        # What is matched lazily is found all the same.
        self._take("?")
        if self._text[self._at : self._at + 1] in tuple("*+?{"):
            raise _bad("a repeat of a repeat; put the inner one into a group", self._at)
        return _Node("repeat", parts=(node,), least=least, most=most)

    def _take(self, sign: str) -> bool:
        taken = self._text[self._at : self._at + 1] == sign
        self._at += taken
        return taken


def check(pattern: str) -> None:
    """Raises BadPattern for what is no pattern here, or too large a one."""
    _places([_Reader(pattern).node()])


def _places(nodes: Sequence[_Node]) -> None:
    if sum(node.places for node in nodes) > MOST_PLACES:
        raise BadPattern(f"more than {MOST_PLACES} places when repeats are written out; lower their counts")


class _State(dict[str, "_State"]):
    """Where a walk may be: the next state by the class of the character. kernel: places behind what was read, in order,
    two bytes each; before: what stands to the left; found: patterns that stand in what was read."""

    __slots__ = ("_machine", "before", "found", "kernel")

    def __init__(self, machine: Patterns, kernel: bytes, before: int, found: frozenset[int]) -> None:
        super().__init__()
        self._machine, self.kernel, self.before, self.found = machine, kernel, before, found

    def __missing__(self, sign: str) -> _State:
        following = self._machine._after(self, sign)
        self[sign] = following
        self._machine._held += _EDGE
        return following


class _Known(dict[int, str]):
    """The class of each character met so far, itself a character: what `str.translate` asks for."""

    def __init__(self, machine: Patterns) -> None:
        super().__init__()
        self._machine = machine

    def __missing__(self, code: int) -> str:
        if len(self) >= MOST_KNOWN:
            self.clear()
        sign = self._machine._class_of(chr(code))
        self[code] = sign
        return sign


class Patterns:
    """Several patterns, searched for together. owns: the automaton, which grows as texts are read and begins anew where
    it has grown too large. May be used from any thread. Raises BadPattern."""

    def __init__(self, patterns: Sequence[str]) -> None:
        nodes = [_Reader(pattern).node() for pattern in patterns]
        _places(nodes)
        #: One step a place: ("set", class, next), ("either", next, next, …), ("assert", sign, next), ("found", number).
        self._steps: list[tuple[Any, ...]] = []
        self._sets: dict[str, int] = {}
        self._starts = {}
        for number, node in enumerate(nodes):
            self._starts[number] = self._built(node, self._step("found", number))
        if len(self._sets) > MOST_SETS:
            raise BadPattern(f"more than {MOST_SETS} different signs and character classes")
        self._owner = self._owners()
        self._tests = [re.compile(text, re.IGNORECASE | re.DOTALL) for text in self._sets]
        self._signatures: dict[tuple[bool, ...], str] = {}
        self._meaning: dict[str, tuple[bool, ...]] = {}
        self._known = _Known(self)
        self._states: dict[tuple[bytes, int, frozenset[int]], _State] = {}
        self._held = 0
        #: Of whoever adds a class or a state; a walk over what is known asks for none.
        self._adding = threading.Lock()

    def found(self, text: str) -> frozenset[int]:
        """Numbers of the patterns that stand in a text."""
        state = self._state(b"", _BEGIN, frozenset())
        for sign in text.translate(self._known):
            state = state[sign]
        return state[_END].found

    def _step(self, *step: object) -> int:
        self._steps.append(step)
        return len(self._steps) - 1

    def _built(self, node: _Node, then: int) -> int:
        """The place where a node begins that goes on at `then`."""
        if node.kind == "set":
            return self._step("set", self._sets.setdefault(node.what, len(self._sets)), then)
        if node.kind == "assert":
            return self._step("assert", node.what, then)
        if node.kind == "either":
            return self._step("either", *(self._built(part, then) for part in node.parts))
        if node.kind == "chain":
            for part in reversed(node.parts):
                then = self._built(part, then)
            return then
        inner = node.parts[0]
        if node.most is None:
            loop = self._step("either")
            self._steps[loop] = ("either", self._built(inner, loop), then)
            then = loop
        else:
            end = then
            for _ in range(node.most - node.least):
                then = self._step("either", self._built(inner, then), end)
        for _ in range(node.least):
            then = self._built(inner, then)
        return then

    def _owners(self) -> list[int]:
        """The pattern of each place: patterns are built one after the other, each from its end on."""
        owners, number = [], -1
        for step in self._steps:
            number = step[1] if step[0] == "found" else number
            owners.append(number)
        return owners

    def _class_of(self, char: str) -> str:
        said = (*(test.fullmatch(char) is not None for test in self._tests), char.isalnum() or char == "_")
        with self._adding:
            sign = self._signatures.get(said)
            if sign is None:
                sign = self._signatures[said] = chr(0xE000 + len(self._signatures))
                self._meaning[sign] = said
        return sign

    def _state(self, kernel: bytes, before: int, found: frozenset[int]) -> _State:
        state = self._states.get((kernel, before, found))
        if state is not None:
            return state
        with self._adding:
            if len(self._states) >= MOST_STATES or self._held >= MOST_BYTES:
                # Each forgets the next, or a walk that goes on would keep them all.
                old, self._states, self._held = self._states, {}, 0
                for each in list(old.values()):
                    each.clear()
            self._held += _STATE + len(kernel)
            state = self._states[kernel, before, found] = _State(self, kernel, before, found)
        return state

    def _after(self, state: _State, sign: str) -> _State:
        said = self._meaning[sign] if sign else ()
        word = bool(said) and said[-1]
        found, reached = set(state.found), []
        for place in self._closure(state, bool(sign), word):
            step = self._steps[place]
            if step[0] == "found":
                found.add(step[1])
            elif said and said[step[1]]:
                reached.append(step[2])
        kernel = array("H", sorted({place for place in reached if self._owner[place] not in found}))
        return self._state(kernel.tobytes(), _WORD if word else _OTHER, frozenset(found))

    def _closure(self, state: _State, more: bool, word: bool) -> Iterator[int]:
        """Places reached without reading anything, the beginnings of what is not found yet among them."""
        edge = (state.before == _WORD) != word
        holds = {"^": state.before == _BEGIN, "$": not more, "b": edge, "B": not edge}
        waiting = [
            *array("H", state.kernel),
            *(start for number, start in self._starts.items() if number not in state.found),
        ]
        seen = set(waiting)
        while waiting:
            place = waiting.pop()
            step = self._steps[place]
            if step[0] in ("set", "found"):
                yield place
                continue
            then = step[1:] if step[0] == "either" else step[2:] if holds[step[1]] else ()
            for following in then:
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
