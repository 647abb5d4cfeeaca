"""Where a text holds an address or a number that names somebody: one function a kind, spans of characters.

What has a check digit or a form of its own is found by that: no model and nothing to download. Names of people, postal
addresses and what is written out in words are not found. Each function takes time in proportion to the text, whatever
it holds: it runs on what strangers send.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from rejoinder.core.table import Row, Table

Span = tuple[int, int]
Finder = Callable[[str], Iterator[Span]]

# Words of a script without spaces may stand on either side: hence ASCII, here and below.
_URL = re.compile(
    r"(?:\b(?:https?|ftp)://|\bwww\.)[^\s<>\"\u00a0\u2000-\u206f\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]+",
    re.IGNORECASE | re.ASCII,
)
#: What ends a sentence, not an address.
_AFTER_URL = ".,;:!?'\")]}*_"

# A local part begins where a run of its characters begins, so that a long run is looked at once.
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+'-])[A-Za-z0-9_%+'-][A-Za-z0-9._%+'-]{0,63}@"
    r"(?:[A-Za-z0-9\u00c0-\u024f-]{1,63}\.){1,8}[A-Za-z\u00c0-\u024f][A-Za-z0-9\u00c0-\u024f-]{1,62}"
)

_DIGITS = re.compile(r"(?<![\w.+-])\d(?:[ \u00a0-]?\d){12,}(?![\w-])", re.ASCII)
#: Number ranges of card issuers (ISO/IEC 7812) with the lengths they use.
_CARDS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),
    (re.compile(r"35"), (16, 19)),
    # JCB's older ranges.
    (re.compile(r"308|309|31[0125]|33[34]"), (16,)),
    (re.compile(r"30[0-59]|3[689]"), (14, 16, 19)),
    (re.compile(r"62"), (16, 17, 18, 19)),
    (re.compile(r"50|5[6-8]|6[37]"), (12, 13, 14, 15, 16, 17, 18, 19)),
)
_SHORTEST_CARD, _LONGEST_CARD, _MOST_GROUPS = 12, 19, 6

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d\d(?=[ \u00a0-]?[A-Za-z0-9])")
#: Characters of an account number by country (SWIFT's registry).
_IBAN_CHARS = {
    country: chars
    for chars, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}

_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}([- ])(?!00)\d\d\1(?!0000)\d{4}(?![\w-]|[.,]\d)", re.ASCII)
_SSN_PLAIN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}(?!00)\d\d(?!0000)\d{4}(?![\w-]|[.,]\d)", re.ASCII)
_SSN_BEFORE = re.compile(r"(?:\bssn|social security)[^\d]{0,20}$", re.IGNORECASE)

_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\w)", re.ASCII)
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4})(?![\w:])", re.ASCII
)
#: Two groups with a digit in them: `a::b` is a name in a program, `::1` is nobody.
_IPV6_SAYS = re.compile(r"[0-9A-Fa-f]:.*\d|\d.*:[0-9A-Fa-f]")
#: Four numbers with dots are a version, or the number of a section, where the text says so.
_VERSION = re.compile(r"(?:\bv|\bver|version|release|build|section|chapter|driver|firmware)[.: ]{0,2}$", re.IGNORECASE)
_BEFORE_CHARS = 40

# `tel:` and `Tel.+` stand before a number, as `12:` and `3.` do before the rest of one.
_NUMBERS = re.compile(
    r"(?:(?<![\w.,:/$€£#-])|(?<=[A-Za-z]:)|(?<=[A-Za-z]\.)(?=\+))"
    r"[+(]{0,2}\d(?:[\d ()\-/\u00a0]|\.(?! ))*\d(?![\w%$€£]|[.,:-]\d)",
    re.ASCII,
)
_LEAST_PHONE_DIGITS = 7
#: Characters of a run of digits that are held against the plans of the countries at once, and of one number.
_PHONE_CHARS, _LONGEST_PHONE = 100, 30
#: What a country's plan would take for a national number: decimals, dates, a post code, digits one by one.
_NO_PHONE = re.compile(
    r"\d+\.\d+|\d\d?([./-])\d\d?\1\d{4}|\d{4}([./-])\d\d?\2\d\d?|\d{5}-\d{4}|.*\b\d\b.*\b\d\b.*|\d{4}[ -]+\d{4}"
)
#: A national number is none where the text says what it is, or goes on with digits.
_NAMED = re.compile(
    r"(?:\b(?:order|ticket|invoice|ref|reference|case|serial|item|id)[.: #]{0,3}|\d[.,/-])$", re.IGNORECASE
)


def urls(text: str) -> Iterator[Span]:
    """Addresses with a scheme, or that begin with www."""
    for found in _URL.finditer(text):
        yield found.start(), found.start() + len(found.group().rstrip(_AFTER_URL))


def emails(text: str) -> Iterator[Span]:
    """Addresses as they are written; none that are spelled out (`anna at example dot org`)."""
    if "@" in text:
        yield from (found.span() for found in _EMAIL.finditer(text))


def ibans(text: str) -> Iterator[Span]:
    """Bank accounts whose country, length and check digits are right, grouped or not."""
    for found in _IBAN.finditer(text):
        chars = _IBAN_CHARS.get(found.group()[:2].upper(), 0)
        end = _end_of(text, found.start(), chars)
        if end and _is_iban(re.sub(r"[ \u00a0-]", "", text[found.start() : end]).upper()):
            yield found.start(), end


def cards(text: str) -> Iterator[Span]:
    """Payment cards whose issuer, length and check digit are right, with one space or hyphen between groups at most."""
    for found in _DIGITS.finditer(text):
        places = [at for at in range(*found.span()) if text[at].isdigit()]
        digits = "".join(text[at] for at in places)
        # A card may stand beside another number (its month and year): any group may begin one, and any may end it.
        ends = [n + 1 for n, at in enumerate(places) if n + 1 == len(places) or places[n + 1] != at + 1]
        done = 0
        for number, begin in enumerate([0, *ends[:-1]]):
            if begin < done:
                continue
            for last in range(min(number + _MOST_GROUPS, len(ends)), number, -1):
                if _is_card(digits[begin : ends[last - 1]], [end - begin for end in ends[number:last]]):
                    done = ends[last - 1]
                    yield places[begin], places[done - 1] + 1
                    break


def ssns(text: str) -> Iterator[Span]:
    """Social security numbers of the United States: in three groups, or nine digits that the text calls one."""
    yield from (found.span() for found in _SSN.finditer(text))
    for found in _SSN_PLAIN.finditer(text):
        if _SSN_BEFORE.search(text, max(0, found.start() - _BEFORE_CHARS), found.start()):
            yield found.span()


def ips(text: str) -> Iterator[Span]:
    """Addresses of machines, version 4 and 6."""
    for pattern in (_IPV4, _IPV6):
        for found in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(found.group())
            except ValueError:
                continue
            if address.version == 6 and not _IPV6_SAYS.search(found.group()):
                continue
            if not _VERSION.search(text, max(0, found.start() - _BEFORE_CHARS), found.start()):
                yield found.span()


def phones(regions: Sequence[str]) -> Finder:
    """Telephone numbers that are valid by their country's plan: international ones, and national ones of `regions`
    (ISO 3166 codes)."""
    import phonenumbers

    places = (None, *regions)

    def in_part(text: str, begin: int, end: int) -> Iterator[Span]:
        part = text[begin:end]
        for region in places if "+" not in part else places[:1]:
            for match in phonenumbers.PhoneNumberMatcher(part, region, max_tries=8):
                start = begin + match.start
                if region is None or _may_be_national(text, start, match.raw_string):
                    yield start, begin + match.end

    def find(text: str) -> Iterator[Span]:
        for run in _NUMBERS.finditer(text):
            at = run.start()
            while at < run.end():
                found: list[Span] = []
                end = _between_groups(text, min(at + _PHONE_CHARS, run.end()), at, -1)
                if sum(map(str.isdigit, text[at:end])) >= _LEAST_PHONE_DIGITS:
                    found = list(in_part(text, at, end))
                    yield from found
                # A long list goes on behind the last number of a part; where there was none, one may stand across.
                on = at + _PHONE_CHARS - _LONGEST_PHONE
                at = max(last for _, last in found) if found else _between_groups(text, on, run.end(), 1)

    return find


#: What is looked for, in this order: where two overlap, the earlier one has it. `redact` replaces it before the log,
#: the guards of the pairs refuse answers that hold it.
KINDS = Table(
    "kind of redaction",
    Row("url", lambda regions: urls, claim="web addresses"),
    Row("email", lambda regions: emails, claim="addresses of mail"),
    Row("iban", lambda regions: ibans, claim="bank accounts"),
    Row("card", lambda regions: cards, claim="payment cards"),
    Row("ssn", lambda regions: ssns, claim="social security numbers of the United States"),
    Row("ip", lambda regions: ips, claim="addresses of machines"),
    Row("phone", phones, claim="telephone numbers"),
)


def unknown_regions(regions: Sequence[str]) -> list[str]:
    """Those that are no country's code in ISO 3166; the library finds nothing for them, and says nothing."""
    from phonenumbers import SUPPORTED_REGIONS

    return [region for region in regions if region not in SUPPORTED_REGIONS]


def _may_be_national(text: str, start: int, number: str) -> bool:
    return not _NO_PHONE.fullmatch(number.lstrip("(")) and not _NAMED.search(text, max(0, start - _BEFORE_CHARS), start)


def _between_groups(text: str, at: int, last: int, step: int) -> int:
    """The next place from `at` towards `last` that has no digits on both sides."""
    while 0 < at < len(text) and at * step < last * step and text[at - 1].isdigit() and text[at].isdigit():
        at += step
    return at


def _end_of(text: str, start: int, chars: int) -> int:
    """Where so many letters and digits from `start` end, one space or hyphen between any two; 0 where they do not."""
    at = start
    while chars:
        if at < len(text) and text[at] in " \u00a0-" and at > start:
            at += 1
        if at >= len(text) or not (text[at].isascii() and text[at].isalnum()):
            return 0
        at, chars = at + 1, chars - 1
    ends = at == len(text) or not text[at].isalnum()
    return at if ends and at > start else 0


def _is_iban(account: str) -> bool:
    """ISO 13616: letters are numbers from 10, the first four characters go last, and 97 leaves one."""
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def _is_card(number: str, ends: Sequence[int]) -> bool:
    """Whether digits are a card's, in one group or in groups as cards have them. ends: of its groups."""
    if not _SHORTEST_CARD <= len(number) <= _LONGEST_CARD:
        return False
    sizes = [after - before for before, after in itertools.pairwise([0, *ends])]
    if len(sizes) > 1 and (sizes[0] != 4 or min(sizes) < 2 or max(sizes) > 6):
        return False
    return any(len(number) in lengths and issuer.match(number) for issuer, lengths in _CARDS) and _luhn(number)


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0 and len(set(digits)) > 1
