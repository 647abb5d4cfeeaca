"""What one event costs the ingest service on Kafka, beside its peers: `make bench WHAT=ingest`.

CPU-microseconds (user and system, all threads) of the server's process for an acknowledged event, the same records,
headers and producer settings in every row. Rows take turns, round after round, and the median of their rounds counts;
the first round warms up and is not counted. At the end every acknowledged event must lie in the topic once. Then the
soak: a steady load, and what the service's memory does in its second half.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from loadtests import report
from loadtests.ingest import sides
from loadtests.ingest.events import event
from loadtests.ingest.producer import TOPIC
from loadtests.ingest.soak import Memory, soak
from loadtests.ingest.stored import stored_ids
from loadtests.report import Row
from tests.brokers import VERSION, shared

Costs = dict[str, list[sides.Cost]]

#: Requests on their way at once.
IN_FLIGHT_BATCHES, IN_FLIGHT_SINGLE = 16, 64
#: Records of the bare producer on their way at once: more than it can send within its linger, so its batches are full.
RAW_WINDOW = 4000


def measured(folder: Path, bootstrap: str, prefix: str, rounds: int, events: int, peers: bool) -> Costs:
    """Costs of each side, one a round. Raises NotTaken, RuntimeError when an acknowledged event is missing."""
    few = max(1, events // 4)
    last: dict[str, sides.Cost] = {}
    with ExitStack() as processes:
        our = processes.enter_context(sides.ours(folder, bootstrap, prefix))
        raw = processes.enter_context(sides.raw(folder, bootstrap, prefix))
        bare = processes.enter_context(sides.empty(folder, "bare"))
        chassis = processes.enter_context(sides.empty(folder, "chassis"))
        rows = [
            sides.sending(raw, "raw", events, RAW_WINDOW),
            sides.sending(raw, "raw-64", few, IN_FLIGHT_SINGLE),
            sides.serving(our, "ours-100", events, 100, IN_FLIGHT_BATCHES),
            sides.serving(our, "ours-1", few, 1, IN_FLIGHT_SINGLE),
            sides.sending(raw, "raw-paced", few, RAW_WINDOW, lambda: last["ours-1"].rate),
            sides.answering(bare, "empty-bare", few, IN_FLIGHT_SINGLE),
            sides.answering(chassis, "empty-chassis", few, IN_FLIGHT_SINGLE),
        ]
        if peers:
            peer = processes.enter_context(sides.fastapi(folder, bootstrap, prefix))
            rows += [
                sides.posting(peer, "fastapi-100", events, 100, IN_FLIGHT_BATCHES),
                sides.posting(peer, "fastapi-1", few, 1, IN_FLIGHT_SINGLE),
            ]
        costs: Costs = {row.name: [] for row in rows}
        for turn in range(rounds + 1):
            for row in rows:
                last[row.name] = cost = row.take(turn * row.events, row.events)
                if turn:
                    costs[row.name].append(cost)
                print(f"  round {turn} {row.name:14} {cost.cpu_us:8.1f} µs {cost.rate:9,.0f}/s", file=sys.stderr)
    sent = [row for row in rows if not row.name.startswith("empty")]
    check_stored(bootstrap, prefix, {row.name: (rounds + 1) * row.events for row in sent})
    return costs


def check_stored(bootstrap: str, prefix: str, sent: Mapping[str, int]) -> None:
    """sent: side → its events, from number 0 on, all acknowledged. Raises RuntimeError unless each lies there once."""
    found = stored_ids(bootstrap, TOPIC.format(prefix))
    acknowledged = {event(name, number).event_id for name, count in sent.items() for number in range(count)}
    lost, doubled = len(acknowledged - found.keys()), sum(found[each] > 1 for each in acknowledged)
    if lost or doubled:
        raise RuntimeError(f"of {len(acknowledged)} acknowledged events {lost} are missing, {doubled} lie twice")


def rows_of(costs: Costs) -> list[Row]:
    cpu = {name: median(cost.cpu_us for cost in each) for name, each in costs.items()}
    rate = {name: median(cost.rate for cost in each) for name, each in costs.items()}
    unit = "CPU µs/event"
    both = cpu["empty-bare"] + cpu["raw"]
    rows = [
        Row("batch 100 / raw producer", cpu["ours-100"], cpu["raw"], unit, 1.7),
        Row("batch 1 / (empty unary call + raw send)", cpu["ours-1"], both, unit, 1.5),
        Row(
            "batch 1 / (empty call through our chassis + raw send)",
            cpu["ours-1"],
            cpu["empty-chassis"] + cpu["raw"],
            unit,
        ),
    ]
    floor = cpu["empty-bare"] + cpu["raw-paced"]
    rows += [
        Row("batch 1 / (the same, 64 on their way)", cpu["ours-1"], cpu["empty-chassis"] + cpu["raw-64"], unit),
        Row("batch 1 / (empty unary call + raw send at that rate)", cpu["ours-1"], floor, unit),
        Row("(empty unary call + raw send at that rate) / (the same, 4,000 on their way)", floor, both, unit),
    ]
    if "fastapi-1" in cpu:
        rows += [
            Row("batch 100 / FastAPI at one event a request", cpu["ours-100"], cpu["fastapi-1"], unit, 0.1),
            Row("batch 1 / FastAPI at one event a request", cpu["ours-1"], cpu["fastapi-1"], unit, 0.1),
            Row("batch 100 / FastAPI at 100 a request", cpu["ours-100"], cpu["fastapi-100"], unit, 1.0),
            Row(
                "empty unary call / FastAPI at one event a request", cpu["empty-bare"], cpu["fastapi-1"], "CPU µs/call"
            ),
            Row("events/s, batch 1 / FastAPI", rate["ours-1"], rate["fastapi-1"], "events/s"),
            Row("events/s, batch 100 / FastAPI", rate["ours-100"], rate["fastapi-100"], "events/s"),
        ]
    return [*rows, Row("events/s, batch 100 / raw producer", rate["ours-100"], rate["raw"], "events/s")]


def grown(memory: Memory) -> Row:
    name = f"RSS at the end / at half of {memory.seconds:.0f} s, {memory.events / memory.seconds:,.0f} events/s"
    return Row(name, memory.end / 2**20, memory.half / 2**20, "MiB", 1.02)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.ingest", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the report, JSON")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds")
    parser.add_argument(
        "--events", type=int, default=20_000, help="events of a round; rows of one event take a quarter"
    )
    parser.add_argument("--no-peers", action="store_true", help="leave FastAPI out")
    parser.add_argument("--soak-s", type=float, default=600.0, help="seconds of the soak; 0 leaves it out")
    parser.add_argument("--soak-rate", type=float, default=1000.0, help="events a second of the soak")
    arguments = parser.parse_args()
    bootstrap, prefix = shared(), f"bench{uuid.uuid4().hex[:10]}"
    with tempfile.TemporaryDirectory(prefix="rejoinder-bench-") as name:
        folder = Path(name)
        costs = measured(folder, bootstrap, prefix, arguments.rounds, arguments.events, not arguments.no_peers)
        rows = rows_of(costs)
        if arguments.soak_s:
            rows.append(grown(soak(folder, bootstrap, f"{prefix}s", arguments.soak_s, arguments.soak_rate)))
    facts = {
        **report.machine(),
        "kafka": VERSION,
        **report.versions("kafka-python", "grpcio", "protobuf"),
        "rounds": arguments.rounds,
        "events": arguments.events,
    }
    report.write(arguments.out, rows, facts=facts, samples={n: [c.cpu_us for c in each] for n, each in costs.items()})
    print(report.table(rows, facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
