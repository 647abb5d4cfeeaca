"""`rejoinder observe`: what an application fills, writes or posts, read continuously; or one look at a topic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import yaml

from rejoinder.cli.datafolder import data_option
from rejoinder.cli.output import json_option, print_json, print_table
from rejoinder.cli.supervisor import address_of
from rejoinder.core import yamlfile
from rejoinder.core.errors import BadSettings


@click.command()
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path),
    help="YAML: topics, files, the HTTP port, their maps, where it goes; the environment overrides it.",
)
@click.option(
    "--follow", "paths", multiple=True, help="A file of JSON Lines, or a pattern, that is read while it grows."
)
@click.option("--format", "format_name", default=None, help="Its format, as `rejoinder import` has them.")
@click.option("--map", "map_file", type=click.Path(path_type=Path), help="YAML: a field map for its lines instead.")
@click.option("--http", "port", type=click.IntRange(0, 65535), help="Port for turns that applications post; 0: any.")
@data_option
@click.option("--address", help="The feedback service (host:port); by default that of `rejoinder up`, if it runs.")
@click.option("--check", is_flag=True, help="Look at some records, say what the map makes of them, and commit nothing.")
@click.option("--sample", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Records of --check.")
@json_option
def command(
    settings_file: Path | None,
    paths: tuple[str, ...],
    format_name: str | None,
    map_file: Path | None,
    port: int | None,
    data: Path,
    address: str | None,
    check: bool,
    sample: int,
    as_json: bool,
) -> int:
    """Read what is yours into the log, once in effect: topics, files that grow, turns that are posted. Ctrl-C stops it;
    it goes on where it stopped."""
    if (map_file or format_name) and not paths:
        raise click.UsageError("--map and --format say what the lines of --follow are")
    if map_file and format_name:
        raise click.UsageError("--map says what the records are: leave out --format")
    if settings_file is None and not paths and port is None:
        raise click.UsageError("say what is read: --settings, --follow or --http")
    if check:
        if settings_file is None:
            raise click.UsageError("--check looks at the topics of --settings; for files there is `rejoinder import`")
        report = checked(settings_file, sample)
        print_json(report) if as_json else _print(report)
        return 0
    from rejoinder.observe.__main__ import main

    if settings_file is None:
        address = address_of(data, "feedback", address)
    said = _said(paths, format_name, map_file, port, data, address)
    return main(["--settings", str(settings_file)] if settings_file else [], {**os.environ, **said})


def _said(
    paths: tuple[str, ...],
    format_name: str | None,
    map_file: Path | None,
    port: int | None,
    data: Path,
    address: str | None,
) -> dict[str, str]:
    """What the options say, as the environment would."""
    said: dict[str, str] = {}
    if paths:
        of: dict[str, Any] = {"paths": [str(Path(path).absolute()) for path in paths], "format": format_name or "auto"}
        if map_file is not None:
            of["map"] = yamlfile.read(map_file)
        # As YAML: a map may translate numbers and truth values, which are no keys of JSON.
        said["FILES__FOLLOW"] = yaml.safe_dump([of], default_flow_style=True)
        said["FILES__STATE"] = str((data / "observe").absolute())
    if port is not None:
        said["HTTP__PORT"] = str(port)
    if address:
        said["INTO__FEEDBACK"] = address
    return {f"REJOINDER_OBSERVE__{name}": value for name, value in said.items()}


def checked(settings_file: Path, sample: int) -> dict[str, Any]:
    """What each topic's map makes of its newest records. Raises BadSettings for a map that cannot be meant."""
    from rejoinder.observe.check import looked, newest
    from rejoinder.observe.settings import ObserveSettings
    from rejoinder.observe.topics import open_topics
    from rejoinder.runtime.settings import load

    settings = load(ObserveSettings, "observe", settings_file)
    if not settings.topics:
        raise BadSettings("there is no topic to look at: `rejoinder import` says what a map makes of a file")
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
