"""core/finders: what is found, what is left, and that nothing a stranger sends takes long (U23)."""

from __future__ import annotations

import time

import pytest
from rejoinder.core.finders import KINDS

REGIONS = ("US", "DE")

FOUND = [
    ("email", "anna.b+x@mail.example.org"),
    ("email", "JO@EXAMPLE.COM"),
    ("email", "info@münchen.example"),
    ("url", "https://example.org/a?b=c#d"),
    ("url", "www.example.org/x"),
    ("ip", "203.0.113.7"),
    ("ip", "2001:db8::8a2e:370:7334"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "gb29nwbk60161331926819"),
    ("card", "4111 1111 1111 1111"),
    ("card", "378282246310005"),
    ("ssn", "219-09-9999"),
    ("phone", "+49 30 901820"),
    ("phone", "(212) 736-5000"),
    ("phone", "030 901820"),
]


@pytest.mark.parametrize(("kind", "value"), FOUND)
@pytest.mark.parametrize("frame", ["{}", "It is {}, not that.", "({})", '{{"a": "{}"}}', "邮箱{}。", "{}\n{}"])
def test_a_value_is_found_wherever_it_stands_and_nothing_beside_it(kind: str, value: str, frame: str) -> None:
    text = frame.format(value, value)
    spans = list(KINDS[kind].make(REGIONS)(text))
    # A parenthesis may go with a number that is written with one.
    assert {text[a:b].strip("()") for a, b in spans} == {value.strip("()")}
    assert len(spans) == text.count(value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("phone", "tel:+49 30 901820", "+49 30 901820"),
        ("phone", "Tel.+49 30 901820", "+49 30 901820"),
        ("phone", "mobile:(212) 736-5000", "(212) 736-5000"),
        ("card", "4111\u00a01111\u00a01111\u00a01111", "4111\u00a01111\u00a01111\u00a01111"),
        (
            "iban",
            "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
            "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
        ),
    ],
)
def test_a_value_is_found_behind_its_label_and_with_the_blanks_of_a_web_page(kind: str, text: str, value: str) -> None:
    assert [text[a:b] for a, b in KINDS[kind].make(REGIONS)(text)] == [value]


@pytest.mark.parametrize("between", [" ", ", ", "\n"])
def test_of_a_long_list_every_telephone_number_is_found_whatever_stood_before(between: str) -> None:
    """A table of other numbers must not use up what is looked at."""
    numbers = [f"212736{n:04d}" for n in range(5000, 5300)]
    text = "\n".join(f"7{n:07d}" for n in range(900)) + "\n" + between.join(numbers)
    assert [text[a:b] for a, b in KINDS["phone"].make(REGIONS)(text)] == numbers


@pytest.mark.parametrize(
    "text",
    [
        "It costs $1,234.56 or 1.234,56 EUR, up 12.5%.",
        "On 2024-05-01, 01.05.2024 and 05/01/2024 at 12:30:45.",
        "Use version 10.0.19.1 or v1.2.3.4, Python 3.11.4.",
        "Order 4821-3391-77120, ticket #9284195158, SN123456789A.",
        "3.14159265358 and 40.712776, -74.005974",
        "std::vector<int> a::b ::before @app.route('/x') a @ b.T",
        "550e8400-e29b-41d4-a716-446655440000 da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "4111 1111 1111 1112 and DE89 3704 0044 0532 0130 01 fail their check digits.",
        "1" * 160 + " " + "7" * 93 + "2127365000",
        "<EMAIL> <EMAIL_3f9a> <PHONE_0123> <CARD_4111>",
    ],
)
def test_what_only_looks_alike_is_left(text: str) -> None:
    assert {kind: [text[a:b] for a, b in row.make(REGIONS)(text)] for kind, row in KINDS.items()} == {
        kind: [] for kind in KINDS
    }


HOSTILE = [
    "a",
    "a.",
    "1",
    "12 ",
    "1 ",
    "+12 ",
    "a@",
    "@a.",
    "AA11 ",
    "DE89 ",
    ":",
    "::1 ",
    "1.1.1.1 ",
    "www.",
    "http://",
]
HOSTILE += [
    "+1 555 123 4567\n",
    "030 1234567, ",
    "4111 1111 1111 1111 ",
    "(",
    "((1",
    "1-",
    "01 234 567, ",
    "tel:1234567 ",
    "0 0 0 0 0 ",
    "%",
]


@pytest.mark.parametrize("part", HOSTILE)
def test_f15_no_text_of_a_stranger_takes_more_than_its_length(part: str) -> None:
    """The control was a search over all pairs of groups: a minute of processor time for a text of this size."""
    text = (part * 65_536)[:65_536]
    finders = [row.make(REGIONS) for row in KINDS.values()]
    started = time.process_time()
    for find in finders:
        list(find(text))
    assert time.process_time() - started < 5.0
