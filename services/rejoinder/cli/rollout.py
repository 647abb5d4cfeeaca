"""`rejoinder rollout`: what it would take to prove a version, start it, look, and decide as a person."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import click

from rejoinder.cli.datafolder import DataFolder, data_option, tenant_option
from rejoinder.cli.output import json_option, print_json, print_table
from rejoinder.cli.supervisor import address_of
from rejoinder.clients.rollouts import NormFigures, Rollout, RolloutClient, Shadow, ShadowVeto, VetoArm, VetoFigures
from rejoinder.core import yamlfile
from rejoinder.core.charter import inlined
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import BadFile, NotFound

#: What the present rate is read off, in days.
RECENT_DAYS = 7
DAY_S = 86_400.0

policy_option = click.option("--policy", default="assist", show_default=True, help="The line of versions.")
address_option = click.option("--address", help="The rollout engine (host:port); by default the one of `rejoinder up`.")
plan_option = click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="YAML file with the plan.")
generation_option = click.option("--generation", type=int, help="Of the table you decided on; by default the present.")


@click.group()
def command() -> None:
    """A version's way to the users: plan, start, status, promote, abort, freeze."""


@command.command("plan")
@data_option
@tenant_option
@plan_option
@click.option("--ledger", help="A running ledger (host:port); by default the one of `rejoinder up`, else the folder.")
@click.option("--holdout", type=float, default=0.05, show_default=True, help="Share of users never canaried.")
@json_option
def forecast_command(
    data: Path, tenant: str, plan_file: Path | None, ledger: str | None, holdout: float, as_json: bool
) -> None:
    """Judged users and days that a rollout would take at the present rate; nobody is exposed."""
    from rejoinder.rollout.plan import RolloutPlan
    from rejoinder.rollouts.settings import DEFAULT_PLAN

    plan = RolloutPlan.from_mapping({**DEFAULT_PLAN, **_plan(plan_file)})
    now = SystemClock().now()
    recent = _recent(data, tenant, ledger, now)
    report = planned(plan, recent, holdout, now)
    if as_json:
        print_json(report)
        return
    columns = ("weight", "judged_users", "canary_users", "days", "after_deadline")
    print_table("A rollout would take", columns, [tuple(step[name] for name in columns) for step in report["steps"]])
    if plan.shadow_s:
        share, pairs = f"{plan.shadow_share:.3g}", plan.shadow_min_pairs
        click.echo(
            f"before them {report['shadow_days']} days of shadow: {share} of stable's answers again, {pairs} at least"
        )
    _say_needed(report["judged_needed"], report["expected_at"])
    click.echo(f"{report['judged_per_day']:.1f} judged users a day, satisfied: {report['satisfaction']:.3f}")
    caught = report["canary_to_catch_10_points"]
    if caught is not None:
        click.echo(f"a fall of 10 points would be caught after {caught} judged canary users (median)")


@command.command()
@data_option
@policy_option
@address_option
@plan_option
@click.argument("version")
@json_option
def start(data: Path, policy: str, address: str | None, plan_file: Path | None, version: str, as_json: bool) -> None:
    """Begin the rollout of a published VERSION."""
    plan = json.dumps(_plan(plan_file)) if plan_file else ""
    with _engine(data, address) as engine:
        show(engine.start(policy, version, plan), as_json)


@command.command()
@data_option
@policy_option
@address_option
@json_option
def status(data: Path, policy: str, address: str | None, as_json: bool) -> None:
    """Phase, verdict, figures of both arms, what is still needed and when."""
    with _engine(data, address) as engine:
        show(engine.get(policy), as_json)


@command.command()
@data_option
@policy_option
@address_option
@generation_option
@json_option
def promote(data: Path, policy: str, address: str | None, generation: int | None, as_json: bool) -> None:
    """Sign where a signature is waited for; else promote over the verdict, under your name."""
    with _engine(data, address) as engine:
        show(engine.promote(policy, _present(engine, policy, generation)), as_json)


@command.command()
@data_option
@policy_option
@address_option
@generation_option
@json_option
def abort(data: Path, policy: str, address: str | None, generation: int | None, as_json: bool) -> None:
    """Everybody back to stable; the version is not tried again."""
    with _engine(data, address) as engine:
        show(engine.abort(policy, _present(engine, policy, generation)), as_json)


@command.command()
@data_option
@policy_option
@address_option
@generation_option
@click.option("--off", is_flag=True, help="Let it go on.")
@json_option
def freeze(data: Path, policy: str, address: str | None, generation: int | None, off: bool, as_json: bool) -> None:
    """Stop learning and rolling out; serving goes on as it is."""
    with _engine(data, address) as engine:
        show(engine.freeze(policy, _present(engine, policy, generation), not off), as_json)


def planned(plan: Any, recent: Mapping[str, float], holdout: float, now: float) -> dict[str, Any]:
    """What a plan would take. recent: judged users a day and their mean satisfaction, 0 without any."""
    from rejoinder.rollout.forecast import Scores, forecast
    from rejoinder.rollouts.report import foreseen, needed

    rate = recent["judged_per_day"] * (1 - holdout)
    mean = recent["satisfaction"] or plan.base_rate
    scores = Scores.coin(min(max(mean, 0.01), 0.99))
    dated = forecast(plan, now=now, judged_per_day=rate, scores=scores)
    at = foreseen(dated.at, now)
    return {
        "judged_per_day": rate,
        "satisfaction": mean,
        "judged_needed": _whole(needed(plan, scores=scores).judged_needed),
        "expected_at": None if at is None else _iso(at),
        "canary_to_catch_10_points": _whole(dated.canary_to_catch),
        "shadow_days": round(plan.shadow_s / DAY_S, 2),
        "steps": [
            {
                "weight": step.weight,
                "judged_users": _whole(step.units),
                "canary_users": _whole(step.canary),
                "days": round(step.seconds / DAY_S, 2) if math.isfinite(step.seconds) else None,
                "after_deadline": step.late,
            }
            for step in dated.steps
        ],
    }


def show(rollout: Rollout, as_json: bool) -> None:
    if as_json:
        plain = {name: str(value) if name == "verdict" else value for name, value in asdict(rollout).items()}
        at = rollout.expected_at
        print_json(plain | {"expected_at": None if at is None else _iso(at)})
        return
    click.echo(f"{rollout.policy}: {rollout.phase}" + _brackets(rollout.held) + _brackets(rollout.reason))
    rows = []
    for arm, version, figures in (
        ("stable", rollout.stable_version, rollout.stable),
        ("canary", rollout.canary_version, rollout.canary),
    ):
        if version:
            share = rollout.weight if arm == "canary" else 1 - rollout.weight
            rows.append((arm, version, share, *_arm(figures)))
    columns = ("arm", "version", "share", "users", "judged", "satisfied", "[silence allows]", "reply rate")
    print_table(f"Table {rollout.generation}, term {rollout.term}", columns, rows)
    if rollout.verdict != "UNSPECIFIED":
        span = f"{rollout.difference:+.3f} [{rollout.low:+.3f}, {rollout.high:+.3f}]"
        click.echo(f"verdict: {rollout.verdict.lower()} ({', '.join(rollout.reasons)}); difference {span}")
        click.echo(_evidence(rollout))
    if rollout.shadow is not None:
        _show_shadow(rollout.shadow)
    if rollout.vetoes:
        titles = ("veto", "stable", "canary", "users", "E", "fires at", "")
        print_table("Vetoes (mean harm)", titles, [_veto(veto) for veto in rollout.vetoes])
    if rollout.norms:
        title = f"Charter {rollout.charter_version}, {rollout.charter[:12]} (answers of those it applied to)"
        print_table(title, ("norm", "", "stable broke", "canary broke"), [_norm(norm) for norm in rollout.norms])
    if rollout.judged_needed or rollout.expected_at:
        at = rollout.expected_at
        _say_needed(rollout.judged_needed, None if at is None else _iso(at))


def _state(veto: ShadowVeto) -> str:
    return "fired" if veto.fired else "" if veto.measured else "unmeasured"


def _show_shadow(shadow: Shadow) -> None:
    """What was scored and shown to nobody."""
    columns = ("veto", "stable", "canary", "pairs", "E", "fires at", "")
    rows = [(v.name, v.stable, v.canary, v.pairs, f"{v.e:.3g}", f"{v.e_needed:.3g}", _state(v)) for v in shadow.vetoes]
    print_table("Shadow (answers that did harm; all of them were shown to nobody)", columns, rows)
    lengths = f"{shadow.stable_tokens:.1f} and {shadow.canary_tokens:.1f} tokens"
    until = "" if shadow.ends_at is None else f", until {_iso(shadow.ends_at)}"
    needed = f"{shadow.pairs} pairs of at least {shadow.min_pairs}"
    click.echo(f"{needed}, {shadow.dropped} dropped; mean length {lengths}{until}")


def _arm(figures: Any) -> tuple[Any, ...]:
    if figures is None or not figures.units:
        return (0, 0, None, None, None)
    span = f"{figures.low:.3f}–{figures.high:.3f}"
    return (figures.units, figures.judged, figures.mean if figures.judged else None, span, figures.reply_rate)


def _veto(veto: VetoFigures) -> tuple[Any, ...]:
    """A veto's row; of the audit the harm is by how much the first judge is kinder than the second."""
    arms = (veto.stable or VetoArm(), veto.canary or VetoArm())
    harms = [arm.harm if arm.units else None for arm in arms]
    word = "fired" if veto.fired else "" if veto.measured else "not measured"
    unread = sum(arm.unread for arm in arms)
    said = ", ".join(filter(None, (word, f"{unread} without a second reading" if unread else "")))
    users = " + ".join(str(arm.units) for arm in arms)
    return (veto.name, *harms, users, f"{veto.e:.3g}", f"{veto.e_needed:.3g}", said)


def _norm(norm: NormFigures) -> tuple[Any, ...]:
    stable, canary = (
        f"{broken} of {applied}"
        for broken, applied in ((norm.stable_broken, norm.stable_applied), (norm.canary_broken, norm.canary_applied))
    )
    return (norm.id, norm.severity, stable, canary)


def _evidence(rollout: Rollout) -> str:
    """The E-values in one line, each kind with what it has to reach."""
    from rejoinder.rollout.sample_ratio import LOG_SUSPEND

    named = {"worse": rollout.e_worse, "better": rollout.e_better, "not worse": rollout.e_ni}
    said = ", ".join(f"{name} {value:.3g}" for name, value in named.items())
    hops = {"assigned": rollout.assigned, "matured": rollout.matured}
    ratio = ", ".join(f"{name} {hop.e:.3g} ({hop.canary} of {hop.units})" for name, hop in hops.items() if hop)
    suspends = f"{math.exp(LOG_SUSPEND):.4g} suspends"
    return f"E-values ({rollout.e_needed:.3g} decides): {said}; sample ratio ({suspends}): {ratio}"


def _say_needed(count: int | None, at: str | None) -> None:
    if not count:
        text = "no number of users would show it" if count is None else "nobody more is needed"
    else:
        text = f"{count} judged users still needed"
    click.echo(f"{text}; expected {at}" if at else f"{text}; no date at the present rate")


def _brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="minutes")


def _whole(value: float) -> int | None:
    return math.ceil(value) if math.isfinite(value) else None


def _present(engine: RolloutClient, policy: str, generation: int | None) -> int:
    return engine.get(policy).generation if generation is None else generation


def _plan(file: Path | None) -> dict[str, Any]:
    """A plan, or the `rollout` block of a recipe, with its charter in it. Raises BadFile."""
    if file is None:
        return {}
    value = yamlfile.read(file)
    value = value.get("rollout", value) if isinstance(value, dict) else value
    if not isinstance(value, dict):
        raise BadFile(f"{file} holds no mapping", file=file)
    return inlined(value, file.parent)


@contextmanager
def _engine(data: Path, address: str | None) -> Iterator[RolloutClient]:
    from rejoinder.clients.connection import Connection

    found = address_of(data, "rollouts", address)
    if not found:
        raise NotFound(f"no rollout engine runs for {data}; start it with `rejoinder up`, or give --address")
    # A person waits: a version may be loaded meanwhile, and a service that is away is said soon.
    with RolloutClient(Connection(found, deadline_s=60.0, tries=3)) as client:
        yield client


class Satisfied(Protocol):
    """What a row of satisfaction says, of the ledger in process or by RPC."""

    @property
    def users(self) -> int: ...

    @property
    def satisfaction(self) -> float: ...


def _recent(data: Path, tenant: str, address: str | None, now: float) -> dict[str, float]:
    """Judged users a day over the last days that had any, and how satisfied they were."""
    since = now - RECENT_DAYS * DAY_S
    found = address_of(data, "ledger", address)
    all_rows: Sequence[Satisfied]
    days: Sequence[Satisfied]
    if found:
        from rejoinder.clients.connection import Connection
        from rejoinder.clients.ledger import LedgerClient

        with LedgerClient(Connection(found, tries=3)) as client:
            all_rows, days = (client.satisfaction(by, tenant, since).rows for by in ("", "day"))
    else:
        with DataFolder(data) as opened:
            opened.project()
            all_rows, days = (opened.ledger.satisfaction(tenant, by, since) for by in ("", "day"))
    judged = [row for row in days if row.users]
    if not all_rows or not judged:
        return {"judged_per_day": 0.0, "satisfaction": 0.0}
    return {"judged_per_day": all_rows[0].users / len(judged), "satisfaction": all_rows[0].satisfaction}
