"""`rejoinder observe`: a Kafka topic that the application fills already, read continuously; or one look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rejoinder.cli.output import json_option, print_json, print_table


@click.command()
@click.option(
    "--settings",
    "settings_file",
    required=True,
    type=click.Path(path_type=Path),
    help="YAML: brokers, topics and their maps, where it goes; the environment overrides it.",
)
@click.option("--check", is_flag=True, help="Look at some records, say what the map makes of them, and commit nothing.")
@click.option("--sample", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Records of --check.")
@json_option
def command(settings_file: Path, check: bool, sample: int, as_json: bool) -> int:
    """Read topics of yours into the log, exactly once in effect. Ctrl-C stops it; it goes on where it stopped."""
    if check:
        report = checked(settings_file, sample)
        print_json(report) if as_json else _print(report)
        return 0
    from rejoinder.observe.__main__ import main

    return main(["--settings", str(settings_file)])


def checked(settings_file: Path, sample: int) -> dict[str, Any]:
    """What each topic's map makes of its newest records. Raises BadSettings for a map that cannot be meant."""
    from rejoinder.observe.check import looked, newest
    from rejoinder.observe.settings import ObserveSettings
    from rejoinder.observe.topics import open_topics
    from rejoinder.runtime.settings import load

    settings = load(ObserveSettings, "observe", settings_file)
    mappers = settings.mappers()
    topics = open_topics(settings)
    reader = topics.reader()
    try:
        out = {}
        for topic, mapper in mappers.items():
            records, there = newest(reader, topic, sample)
            known = {"id": topics.ids[topic], "there": there, "sampled": len(records), "form": mapper.map.form}
            out[topic] = known | looked(records, mapper, topics.ids[topic], settings.keeping())
        return {"topics": out}
    finally:
        reader.close()
        topics.close()


def _print(report: dict[str, Any]) -> None:
    def told(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in counts.items()) or "–"

    topics = report["topics"].items()
    counts = [(name, t["form"], t["there"], t["sampled"], told(t["outcomes"]), told(t["events"])) for name, t in topics]
    print_table("Topics", ("topic", "form", "there", "sampled", "records", "events"), counts)
    faults = [(name, fault, count) for name, t in topics for fault, count in t["faults"].items()]
    if faults:
        print_table("What does not fit", ("topic", "field and fault", "records"), faults)
    found = [(name, field, share) for name, t in topics for field, share in t["fields"].items()]
    print_table("Where the fields were found", ("topic", "field", "share of records"), found)
    sizes = [(name, what, *lengths) for name, t in topics for what, lengths in t["characters"].items()]
    if sizes:
        print_table("Lengths", ("topic", "what", "least", "middle", "greatest"), sizes)
    for name, t in topics:
        click.echo(f"{name}: id {t['id']}")
