"""core/patterns: the same as `re` where both can, and time in proportion to the text whatever stands in it (F15)."""

from __future__ import annotations

import random
import re
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rejoinder.core import patterns
from rejoinder.core.errors import BadSettings
from rejoinder.core.patterns import Patterns, check

_ATOM = st.sampled_from(["a", "b", " ", ".", "[ab]", "[^a]", r"\w", r"\W", r"\b", r"\B", "^", "$", r"\d", r"\."])
_REPEAT = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "{0}"])


def _patterns(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.builds("({}){}".format, inner, _REPEAT)
    either = st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(?:" + "|".join(parts) + ")")
    return st.lists(st.one_of(inner, group, either), min_size=1, max_size=3).map("".join)


_SET = _ATOM.filter(lambda atom: atom not in (r"\b", r"\B", "^", "$"))
_ANY = st.recursive(st.one_of(_ATOM, st.builds("{}{}".format, _SET, _REPEAT)), _patterns, max_leaves=6)


def by_re(pattern: str, text: str) -> bool:
    # Both ends are the text's, as in RE2.
    written = re.sub(r"(?<![\\\[])\$", r"\\Z", pattern)
    return re.search(written, text, re.IGNORECASE | re.DOTALL) is not None


# Not of the empty text: there Python finds no \B before 3.14, and RE2 does.
@given(st.lists(_ANY, min_size=1, max_size=3), st.text("abAB .1\n", min_size=1, max_size=12))
def test_what_python_finds_is_found_and_nothing_else(several: list[str], text: str) -> None:
    assert Patterns(several).found(text) == {n for n, pattern in enumerate(several) if by_re(pattern, text)}


@pytest.mark.parametrize(
    ("pattern", "text", "stands"),
    [
        (r"\bsecret\b", "The SECRET is out", True),
        (r"\bsecret\b", "secretly", False),
        (r"größe|ça", "Die GRÖSSE, die Größe", True),
        (r"straße 日本.{0,3}語", "STRASSE, Straße 日本の語", True),
        (r"sk-[a-z0-9]{20,}", "sk-" + "a1" * 10, True),
        (r"sk-[a-z0-9]{20,}", "sk-" + "a1" * 9, False),
        (r"a{0}b", "b", True),
        ("", "", True),
    ],
)
def test_a_pattern_says_whether_it_stands(pattern: str, text: str, stands: bool) -> None:
    assert Patterns([pattern]).found(text) == ({0} if stands else set())


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(a)\1", "a backslash stands before"),
        (r"(?=a)", "look-arounds"),
        (r"(?P<n>a)", "names"),
        (r"(?i)a", "flags"),
        (r"a++", "a repeat of a repeat"),
        (r"*a", "a repeat of nothing"),
        (r"a{3", "a count is written"),
        (r"a{5,2}", "from less to more"),
        (r"a{900}", "up to 200"),
        (r"(a", "a group without its end"),
        (r"a)", "without an opening one"),
        (r"[a", "class without its end"),
        (r"[z-a]", "its range runs backwards"),
        (r"[[:alpha:]]", "need a backslash"),
        (r"\p{L}", "a backslash stands before"),
        ("a\\", "a backslash stands before"),
        ("(" * 21 + ")" * 21, "groups within one another"),
        ("((a{200}){200}){200}", "lower their counts"),
        ("a" * 501, "at most 500 characters"),
        ("", None),
    ],
)
def test_what_could_hang_or_is_broken_is_refused_with_its_place_and_without_its_words(pattern, words) -> None:
    if words is None:
        check(pattern)
        return
    with pytest.raises(BadSettings, match=words) as refused:
        check(pattern)
    assert "alpha" not in refused.value.message


#: Python's own engine would take longer than there is time on each of them, or its square.
HOSTILE = [
    (r"(a+)+$", "a" * 5_000 + "!"),
    (r"(a|a)*b", "a" * 5_000),
    (r"(.*)(.*)(.*)(.*)(.*)x", "y" * 5_000),
    (r"a{0,100}a{0,100}b", "a" * 5_000),
    (r"[ab]*a[ab]{100}c", "abbab" * 1_000),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_no_pattern_hangs_on_any_text(pattern: str, text: str) -> None:
    """Many times what the longest of them takes."""
    began = time.process_time()
    assert Patterns([pattern]).found(text) == set()
    assert time.process_time() - began < 10.0


def test_the_memory_begins_anew_and_nothing_is_lost(monkeypatch) -> None:
    monkeypatch.setattr(patterns, "MOST_STATES", 200)
    draw = random.Random(1)
    text = "".join(draw.choice("ab") for _ in range(1_000)) + "c" * 42
    machine = Patterns([r"a.{40}b.{40}c", "ba{12}b"])
    assert machine.found(text) == {0}
    assert len(machine._states) <= 200
    assert [by_re(pattern, text) for pattern in (r"a.{40}b.{40}c", "ba{12}b")] == [True, False]


def test_the_memory_is_bounded_in_bytes_where_states_are_wide(monkeypatch) -> None:
    monkeypatch.setattr(patterns, "MOST_BYTES", 40_000)
    draw = random.Random(1)
    machine = Patterns([r"[a-h].{100}z"])
    machine.found("".join(draw.choice("abcdefghijklm") for _ in range(500)))
    kept = sum(len(state.kernel) for state in machine._states.values())
    assert 0 < kept + 700 * len(machine._states) < 42_000


def test_two_threads_that_meet_new_characters_at_once_give_them_two_signs() -> None:
    machine, inside, other = Patterns(["a+", "b+"]), threading.Event(), threading.Thread(target=lambda: None)

    class Slow(dict):
        """The first that counts them is overtaken by the other, unless that has to wait."""

        def __len__(self) -> int:
            count = super().__len__()
            if not inside.is_set():
                inside.set()
                other.join(0.2)
            return count

    machine._signatures = Slow()
    other = threading.Thread(target=lambda: inside.wait(10) and machine._class_of("b"))
    other.start()
    machine._class_of("a")
    other.join()
    assert len(machine._meaning) == 2
