"""`make chaos`: every scenario on three brokers and a PostgreSQL, and what each of them lost or counted twice.

    python -m tests.chaos.run --out reports/chaos.json [--only NAME …] [--events N]

reports/chaos.json has a row a scenario and nothing else; reports/chaos-evidence.json has what shows that each fault
happened, the planted faults, sums and seconds.

Exit status 1 when an acknowledged event was lost or counted twice, when a Generate failed though its policy lived, when
a scenario failed or could not be done here, when a planted fault was not found, or when a whole run acknowledged fewer
events than asked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.scenarios.apart import own_mounts
from tests.chaos.scenarios.row import Outcome, Planted, Scenario, Skipped
from tests.chaos.scenarios.site import Site
from tests.chaos.scenarios.table import PLANTED, SCENARIOS

#: What a whole run has acknowledged at least, over all scenarios.
EVENTS = 100_000
#: Of one scenario.
LEAST = 600
COUNTS = ("acknowledged", "stored", "lost", "duplicated", "unacked_stored", "generated", "generate_errors")
EMPTY = Outcome(0, 0)
#: Of a row of reports/chaos.json.
KEYS = (
    *("name", "proves", "acknowledged", "stored", "lost", "duplicated", "unacked_stored", "generate_errors", "skipped"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [each.name for each in (*SCENARIOS, *PLANTED)]
    parser.add_argument("--out", type=Path, default=Path("reports/chaos.json"))
    parser.add_argument("--only", action="append", choices=names, help="only this scenario (may be repeated)")
    parser.add_argument("--events", type=int, default=EVENTS, help="acknowledged events over all scenarios")
    parser.add_argument("--keep", action="store_true", help="leave the processes' logs, and say where")
    arguments = parser.parse_args()
    own_mounts()
    folder = Path(tempfile.mkdtemp(prefix="rejoinder-chaos-"))
    try:
        with Site(folder) as site:
            report = measured(site, arguments.only, arguments.events)
    finally:
        if arguments.keep:
            print(f"logs in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(published(report), indent=1) + "\n")
    evidence = arguments.out.with_name(f"{arguments.out.stem}-evidence.json")
    evidence.write_text(json.dumps(report, indent=1) + "\n")
    print_table(report)
    return 0 if report["green"] else 1


def measured(site: Site, only: Sequence[str] | None, events: int) -> dict[str, Any]:
    """The report of all scenarios, or of some."""
    shares = sum(each.share for each in SCENARIOS)
    rows, planted = [], []
    for each in SCENARIOS:
        if not only or each.name in only:
            # A little more than a share: callers stop at once when there is enough.
            wanted = max(least(each), round(1.02 * events * each.share / shares))
            rows.append(_row(each, _tried(site, each, lambda each=each, n=wanted: each.run(site, n))))
    for each in PLANTED:
        if not only or each.name in only:
            planted.append(_planted(each, _tried(site, each, lambda each=each: each.run(site, LEAST))))
    totals = {name: sum(row[name] for row in rows) for name in COUNTS}
    totals["seconds"] = round(sum(row["seconds"] for row in (*rows, *planted)), 1)
    enough = bool(only) or totals["acknowledged"] >= events
    green = enough and all(row["passed"] for row in rows) and all(row["caught"] for row in planted)
    return {"green": green, "scenarios": rows, "planted": planted, "totals": totals, "demanded": events}


def least(each: Scenario) -> int:
    """A scenario's least: fewer would be over before the fault. Answers of a model come one by one."""
    return LEAST if each.share > 0.1 else LEAST // 4


def _tried(site: Site, each: Scenario | Planted, run: Callable[[], Outcome]) -> dict[str, Any]:
    """The outcome as fields, or why there is none. Whatever happens, the next scenario finds the site whole."""
    print(f"{each.name} …", flush=True)
    began, outcome, skipped, failed = time.monotonic(), EMPTY, "", ""
    try:
        outcome = run()
    except Skipped as reason:
        skipped = str(reason)
    except Exception as error:
        traceback.print_exc()
        failed = f"{type(error).__name__}: {error}"[:500]
    seconds = round(time.monotonic() - began, 1)
    try:
        site.heal()
    except Exception as error:
        failed = failed or f"the site did not heal: {type(error).__name__}: {error}"[:500]
    said = skipped or failed or f"{outcome.acknowledged} acknowledged, {outcome.lost} lost, {outcome.duplicated} twice"
    print(f"{each.name}: {said} ({seconds} s)", flush=True)
    return {**asdict(outcome), "clean": outcome.clean, "skipped": skipped, "failed": failed, "seconds": seconds}


def _row(each: Scenario, found: Mapping[str, Any]) -> dict[str, Any]:
    refused = found["generate_errors"] and not each.may_refuse
    done = found["acknowledged"] and not found["skipped"] and not found["failed"]
    passed = bool(found["clean"] and done and not refused)
    head = {"name": each.name, "proves": each.proves, "stories": each.stories.split()}
    rest = {name: found[name] for name in (*COUNTS, "skipped", "failed", "seconds", "evidence")}
    return {**head, **rest, "passed": passed}


def _planted(each: Planted, found: Mapping[str, Any]) -> dict[str, Any]:
    caught = not found["failed"] and not found["skipped"] and found[each.finds] > 0
    rest = {name: found[name] for name in ("acknowledged", "stored", "lost", "duplicated", "skipped", "failed")}
    return {"name": each.name, "finds": each.finds, "caught": caught, **rest, "seconds": found["seconds"]}


def published(report: Mapping[str, Any]) -> dict[str, Any]:
    """The rows. skipped: "" where a scenario was counted, else why it was not: a failed one must not read as clean."""
    rows = [
        {**row, "skipped": row["skipped"] or (f"failed: {row['failed']}" if row["failed"] else "")}
        for row in report["scenarios"]
    ]
    return {"scenarios": [{key: row[key] for key in KEYS} for row in rows]}


def print_table(report: Mapping[str, Any]) -> None:
    head = f"{'scenario':38} {'proves':8} {'acked':>8} {'lost':>5} {'twice':>6} {'unacked':>8} {'errors':>7} {'s':>6}"
    print(f"\n{head}")
    for row in (*report["scenarios"], {"name": "all", "proves": "", "passed": True, **report["totals"]}):
        mark = "" if row["passed"] else f"  ! {row['skipped'] or row['failed'] or 'not clean'}"
        print(
            f"{row['name']:38} {row['proves']:8} {row['acknowledged']:8} {row['lost']:5} {row['duplicated']:6} "
            f"{row['unacked_stored']:8} {row['generate_errors']:7} {row['seconds']:6.0f}{mark}"
        )
    for row in report["planted"]:
        mark = "caught" if row["caught"] else f"! NOT caught {row['skipped'] or row['failed']}"
        print(f"planted {row['name']:30} {row['finds']:10} {row[row['finds']]:6} {mark}")
    print("green" if report["green"] else f"not green ({report['demanded']} acknowledged events were asked for)")


if __name__ == "__main__":
    sys.exit(main())
