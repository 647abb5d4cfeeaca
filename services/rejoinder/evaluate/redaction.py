"""How much of what names somebody `redact` finds, and what it takes for that and is not: reports/redaction.json.

The labelled texts are generated (Faker, several countries, written in several ways), with numbers beside them that look
alike and name nobody; real conversations say how often something is found where hardly anything is. Recall counts a
value only where nothing of it is left. What nobody claims to find (addresses that are spelled out) is counted apart.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.finders import KINDS
from rejoinder.evaluate.shares import wilson
from rejoinder.feedback.redact import Redactor

#: Countries whose national telephone numbers are asked for; the set holds others' too, written internationally.
REGIONS = ("US", "GB", "DE", "FR")
LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL")
#: Ways of writing that no finder claims.
UNCLAIMED = frozenset({"spelled out", "without scheme", "national, other country", "in no plan"})

FRAMES = (
    "{}",
    "My details: {}.",
    "You can reach me: {}, thanks!",
    "no, I said {} and not what you wrote",
    "({})",
    "Please put {} into the letter and make it shorter.",
    "1. {}\n2. the other one",
    '{{"value": "{}", "ok": true}}',
    "Ich meine {} – bitte noch einmal.",
)


@dataclass(frozen=True)
class Sample:
    """kind: what [start, end) is, "" for a look-alike. way: how it is written, or what it is instead."""

    text: str
    kind: str
    way: str
    start: int
    end: int


#: A text → (kind, start, end) of what was found.
Find = Callable[[str], Sequence[tuple[str, int, int]]]


def samples(count: int, seed: int) -> list[Sample]:
    """`count` values of every kind and way of writing, and of every look-alike, each in a sentence."""
    from faker import Faker

    rng = random.Random(seed)
    fakers = {locale: Faker(locale) for locale in LOCALES}
    for number, faker in enumerate(fakers.values()):
        faker.seed_instance(seed * 1000 + number)
    out = []
    for (kind, way), make in {**_values(fakers, rng), **_look_alikes(fakers["en_US"], rng)}.items():
        for _ in range(count):
            value = make()
            before, after = rng.choice(FRAMES).replace("{}", "\x00").format().split("\x00")
            out.append(Sample(before + value + after, kind, way, len(before), len(before) + len(value)))
    return out


def _values(fakers: Mapping[str, Any], rng: random.Random) -> dict[tuple[str, str], Callable[[], str]]:
    us, everyone = fakers["en_US"], list(fakers.values())

    def any_() -> Any:
        return rng.choice(everyone)

    def card(kind: str, join: str) -> str:
        digits = us.credit_card_number(kind)
        sizes = (4, 6, 5) if len(digits) == 15 else (4, 4, 4, 4, 3)
        groups, at = [], 0
        for size in sizes:
            groups.append(digits[at : at + size])
            at += size
        return join.join(filter(None, groups))

    def phone(locale: str, national: bool, valid: bool = True) -> str:
        """valid: by its country's plan; Faker makes many numbers up that no plan has."""
        import phonenumbers
        from phonenumbers import PhoneNumberFormat

        while True:
            text = fakers[locale].phone_number().split("x")[0]
            try:
                number = phonenumbers.parse(text, locale[-2:])
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number) is valid:
                break
        if national and not text.startswith(("+", "(+", "00")):
            return text
        return phonenumbers.format_number(
            number, PhoneNumberFormat.NATIONAL if national else PhoneNumberFormat.INTERNATIONAL
        )

    out: dict[tuple[str, str], Callable[[], str]] = {
        ("email", "plain"): lambda: any_().email(),
        ("email", "of a company"): lambda: any_().company_email(),
        ("email", "tagged"): lambda: us.email().replace("@", "+news@", 1),
        ("email", "upper case"): lambda: us.email().upper(),
        ("email", "in brackets"): lambda: f"<{us.email()}>"[1:-1],
        ("email", "spelled out"): lambda: us.email().replace("@", " at ").replace(".", " dot "),
        ("url", "https"): lambda: f"https://{any_().domain_name()}/{us.uri_path()}?q={us.word()}",
        ("url", "http"): lambda: any_().url(schemes=["http"]),
        ("url", "www"): lambda: f"www.{any_().domain_name()}/{us.slug()}",
        ("url", "without scheme"): lambda: f"{any_().domain_name()}/{us.slug()}",
        ("ip", "version 4"): lambda: us.ipv4(),
        ("ip", "version 4, private"): lambda: us.ipv4_private(),
        ("ip", "version 6"): lambda: us.ipv6(),
        ("ip", "version 6, short"): lambda: "2001:db8::" + ":".join(f"{rng.randrange(1, 65536):x}" for _ in range(3)),
        ("ssn", "hyphens"): lambda: us.ssn(),
        ("ssn", "spaces"): lambda: us.ssn().replace("-", " "),
        ("ssn", "called one"): lambda: "SSN " + us.ssn().replace("-", ""),
        ("phone", "national, other country"): lambda: phone(rng.choice(LOCALES[4:]), True),
        ("phone", "in no plan"): lambda: phone("en_US", True, False),
    }
    for kind in ("visa", "mastercard", "amex", "discover", "jcb16", "diners"):
        out["card", f"{kind}, plain"] = partial(card, kind, "")
        out["card", f"{kind}, spaces"] = partial(card, kind, " ")
    out["card", "visa, hyphens"] = lambda: card("visa", "-")
    out["card", "visa, with its month"] = lambda: f"{card('visa', ' ')} {us.credit_card_expire()}"
    for locale in ("en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL"):
        plain = fakers[locale].iban
        out["iban", f"{locale[-2:]}, plain"] = plain
        out["iban", f"{locale[-2:]}, groups"] = partial(_grouped, plain)
    out["iban", "lower case"] = lambda: fakers["de_DE"].iban().lower()
    for locale in LOCALES:
        out["phone", f"{locale[-2:]}, international"] = partial(phone, locale, False)
    for locale in LOCALES[: len(REGIONS)]:
        out["phone", f"{locale[-2:]}, national"] = partial(phone, locale, True)
    return out


def _look_alikes(faker: Any, rng: random.Random) -> dict[tuple[str, str], Callable[[], str]]:
    """Numbers and signs that name nobody."""

    def digits(count: int) -> str:
        return "".join(rng.choice("0123456789") for _ in range(count))

    made: dict[str, Callable[[], str]] = {
        "price": lambda: rng.choice(("${:,.2f}", "EUR {:.2f}", "{:,.0f} USD", "{:.2f} €")).format(rng.uniform(1, 2e6)),
        "date": lambda: faker.date(rng.choice(("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y%m%d"))),
        "date and time": lambda: faker.date(rng.choice(("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"))),
        "range of years": lambda: f"{rng.randrange(1800, 2000)}-{rng.randrange(2000, 2030)}",
        "order number": lambda: f"order {digits(4)}-{digits(4)}-{digits(rng.randrange(3, 7))}",
        "ticket number": lambda: f"#{digits(rng.randrange(6, 11))}",
        "serial number": lambda: f"SN{digits(9)}{rng.choice('ABC')}",
        "long number": lambda: digits(rng.choice((8, 11, 13, 16, 18, 20))),
        "version": lambda: rng.choice(("v{}.{}.{}", "version {}.{}.{}.{}", "{}.{}.{}")).format(
            *rng.choices(range(30), k=4)
        ),
        "book number": lambda: faker.isbn13(),
        "uuid": lambda: faker.uuid4(),
        "digest": lambda: faker.sha1(),
        "colour": lambda: faker.hex_color(),
        "place": lambda: f"{faker.latitude()}, {faker.longitude()}",
        "decimal": lambda: f"{rng.uniform(-10, 10):.9f}",
        "share": lambda: f"{rng.uniform(0, 100):.2f}%",
        "post code": lambda: faker.zipcode_plus4(),
        "sum": lambda: f"{digits(3)} + {digits(4)} = {digits(4)}",
        "row of numbers": lambda: " ".join(digits(rng.randrange(1, 4)) for _ in range(8)),
        "code": lambda: rng.choice(
            ("std::vector<int>", "@app.route('/x')", "a @ b.T", "x[1:20:3]", "::before", "if a::b")
        ),
        "bytes": lambda: " ".join(f"{rng.randrange(256):02x}" for _ in range(8)),
        "score": lambda: f"{rng.randrange(9)}:{rng.randrange(9)}, {rng.randrange(9)}:{rng.randrange(9)}",
        "mention": lambda: f"@{faker.user_name()}",
    }
    return {("", name): make for name, make in made.items()}


def _groups(account: str) -> list[str]:
    return [account[at : at + 4] for at in range(0, len(account), 4)]


def _grouped(account: Callable[[], str]) -> str:
    return " ".join(_groups(account()))


def scored(found_by: Find, set_: Iterable[Sample]) -> dict[str, Any]:
    """Recall and precision by kind (95 % Wilson intervals), recall by way, and what was found in look-alikes."""
    ways: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    right, said, alike, by = Counter[str](), Counter[str](), defaultdict(list), Counter[str]()
    for sample in set_:
        found = found_by(sample.text)
        for kind, start, end in found:
            said[kind] += 1
            right[kind] += kind == sample.kind and start < sample.end and end > sample.start
        if sample.kind:
            left = set(range(sample.start, sample.end)) - {at for _, s, e in found for at in range(s, e)}
            gone = not any(sample.text[at].isalnum() for at in left - _words(sample))
            ways[sample.kind][sample.way].append(gone)
        else:
            alike[sample.way].append(bool(found))
            by.update(kind for kind, _, _ in found)
    kinds = {}
    for kind, of in ways.items():
        claimed = [hit for way, hits in of.items() if way not in UNCLAIMED for hit in hits]
        kinds[kind] = {
            "values": len(claimed),
            "recall": _share(sum(claimed), len(claimed)),
            "precision": _share(right[kind], said[kind]),
            "ways": {way: round(float(np.mean(hits)), 4) for way, hits in of.items()},
        }
    flags = [hit for hits in alike.values() for hit in hits]
    return {
        "kinds": kinds,
        "look_alikes": {
            "values": len(flags),
            "found": _share(sum(flags), len(flags)),
            "by_kind": dict(sorted(by.items())),
            "by_what": {what: round(float(np.mean(hits)), 4) for what, hits in alike.items() if any(hits)},
        },
    }


def _words(sample: Sample) -> set[int]:
    """Characters beside the value that a label has inside it: `SSN`, the month of a card."""
    if sample.way == "called one":
        return set(range(sample.start, sample.start + 4))
    return set(range(sample.end - 5, sample.end)) if sample.way == "visa, with its month" else set()


def _share(hits: int, of: int) -> dict[str, float]:
    """A share with its 95 % Wilson interval; zeros for none."""
    if not of:
        return {"share": 0.0, "low": 0.0, "high": 0.0}
    found = wilson(hits, of)
    return {"share": round(found["value"], 4), "low": round(found["low"], 4), "high": round(found["high"], 4)}


def messages_of(path: Path) -> list[str]:
    """The messages of the carried conversations, one text each."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [m["text"] for row in rows for m in row["messages"]] + [row[side] for row in rows for side in "ab"]


def real(found_by: Find, texts: Sequence[str]) -> dict[str, Any]:
    """How often something is found in real conversations, where nothing but web addresses is to be expected."""
    counts, touched = Counter[str](), 0
    for text in texts:
        kinds = [kind for kind, _, _ in found_by(text)]
        counts.update(kinds)
        touched += any(kind != "url" for kind in kinds)
    found = dict(sorted(counts.items()))
    return {"messages": len(texts), "touched_beyond_url": _share(touched, len(texts)), "found": found}


def cost(kinds: Sequence[str], texts: Sequence[str], rounds: int = 5) -> dict[str, float]:
    """Processor microseconds of one text: all kinds together, and each alone."""
    out = {}
    for name, chosen in {"all": tuple(kinds), **{kind: (kind,) for kind in kinds}}.items():
        redactor = Redactor(chosen, REGIONS)
        redactor.text(" ".join(texts[:10]))
        started = time.process_time()
        for _ in range(rounds):
            for text in texts:
                redactor.text(text)
        out[name] = round((time.process_time() - started) / rounds / len(texts) * 1e6, 1)
    return out


def report(count: int, seed: int, conversations: Path | None) -> dict[str, Any]:
    """The whole report; without conversations only what is generated."""
    redactor = Redactor(tuple(KINDS), REGIONS)
    set_ = samples(count, seed)
    out = {"seed": seed, "phone_regions": REGIONS, **scored(redactor.found, set_)}
    if conversations is not None:
        texts = messages_of(conversations)
        out["real"] = real(redactor.found, texts) | {"mean_chars": round(float(np.mean([len(t) for t in texts])))}
        out["cpu_us_per_text"] = {"real": cost(tuple(KINDS), texts)}
    out.setdefault("cpu_us_per_text", {})["generated"] = cost(
        tuple(KINDS), [s.text for s in set_[:: len(set_) // 1000 or 1]], 1
    )
    out["demands"] = _demands(out)
    return out


def _demands(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [
        (f"{measure} of {kind}", figures[measure]["share"], ">=", 0.95)
        for kind, figures in made["kinds"].items()
        for measure in ("recall", "precision")
    ]
    rows.append(("look-alikes that were taken for something", made["look_alikes"]["found"]["share"], "<=", 0.03))
    if "real" in made:
        rows.append(
            ("real messages touched, web addresses apart", made["real"]["touched_beyond_url"]["share"], "<=", 0.005)
        )
    return [
        {
            "what": what,
            "value": value,
            "demand": f"{sign} {limit}",
            "met": value >= limit if sign == ">=" else value <= limit,
        }
        for what, value, sign, limit in rows
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports/redaction.json"))
    parser.add_argument("--conversations", type=Path, default=Path("tests/data/hh/excerpt.jsonl.gz"))
    parser.add_argument("--count", type=int, default=200, help="values of each way of writing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="exit 1 when a demand is missed")
    options = parser.parse_args(arguments)
    made = report(options.count, options.seed, options.conversations if options.conversations.exists() else None)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(made, indent=2, allow_nan=False) + "\n")
    for row in made["demands"]:
        print(f"{'met   ' if row['met'] else 'MISSED'} {row['value']:8.4f} {row['demand']:>8}  {row['what']}")
    return int(options.strict and not all(row["met"] for row in made["demands"]))


if __name__ == "__main__":
    raise SystemExit(main())
