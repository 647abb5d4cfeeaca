"""verdicts: what Argo Rollouts, Flagger and Prometheus are told."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rejoinder.core.arms import Step
from rejoinder.core.metrics import Metrics
from rejoinder.rollout.state import ABORTED, CANARY, PROMOTED, SUPERSEDED, Status
from rejoinder.rollout.verdict import Outcome, Verdict
from rejoinder_operator.verdicts import Board, VerdictServer

from tests.operator.decide.test_rollout import BEGUN

LIVE = replace(BEGUN, phase=CANARY, steps=(Step(0.2, 1.0),))


@pytest.fixture
def board() -> Board:
    return Board(Metrics())


@pytest.fixture
def served(board: Board) -> Iterator[tuple[Board, str, dict[str, bool]]]:
    leads = {"now": True}
    server = VerdictServer("127.0.0.1", 0, board, lambda: leads["now"])
    yield board, f"http://127.0.0.1:{server.port}", leads
    server.close()


def ask(url: str, method: str = "GET") -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, data=None), timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.parametrize(
    ("verdict", "phase", "gate"),
    [
        (Verdict(Outcome.BETTER, ("satisfaction",), True), "Successful", 200),
        (Verdict(Outcome.INCONCLUSIVE, ("satisfaction",), True), "Successful", 200),
        (Verdict(Outcome.WORSE, ("satisfaction",)), "Failed", 403),
        (Verdict(Outcome.INCONCLUSIVE, ("satisfaction",)), "Inconclusive", 403),
        (Verdict(Outcome.UNMEASURED, ("units",)), "Inconclusive", 403),
    ],
)
def test_an_outcome_is_told_in_the_words_of_others(
    served: tuple[Board, str, dict[str, bool]], verdict: Verdict, phase: str, gate: int
) -> None:
    board, url, _ = served
    board.put("team", "r", "assist", verdict, LIVE)
    status, answer = ask(f"{url}/v1/verdicts/team/r")
    assert (status, answer["phase"], answer["outcome"]) == (200, phase, verdict.outcome.value)
    assert ask(f"{url}/v1/gates/team/r", "POST")[0] == gate


def test_who_does_not_lead_and_who_is_not_known_is_told_so(served: tuple[Board, str, dict[str, bool]]) -> None:
    board, url, leads = served
    assert ask(f"{url}/v1/verdicts/team/r")[0] == 404
    assert ask(f"{url}/v1/gates/team/r", "POST")[0] == 404
    assert ask(f"{url}/elsewhere")[0] == 404
    board.put("team", "r", "assist", Verdict(Outcome.BETTER, (), True), LIVE)
    leads["now"] = False
    assert ask(f"{url}/v1/verdicts/team/r")[0] == 503


def test_an_end_is_the_answer_of_a_process_that_saw_nothing_before(
    served: tuple[Board, str, dict[str, bool]],
) -> None:
    """After a fail-over: who was promoted stays open, who was rolled back stays shut."""
    board, url, _ = served
    board.end("team", "good", "assist", replace(LIVE, phase=PROMOTED, closed=True))
    assert ask(f"{url}/v1/gates/team/good", "POST")[0] == 200
    board.put("team", "bad", "assist", Verdict(Outcome.BETTER, (), True), LIVE)
    board.end("team", "bad", "assist", replace(LIVE, phase=ABORTED, closed=True))
    assert ask(f"{url}/v1/gates/team/bad", "POST")[0] == 403
    assert ask(f"{url}/v1/verdicts/team/bad")[1]["promotable"] is False


def test_a_rollout_that_is_gone_is_not_known_and_shows_nobody_its_version() -> None:
    metrics = Metrics()
    board = Board(metrics)
    board.put("team", "r", "assist", Verdict(Outcome.UNMEASURED), LIVE)
    board.drop("team", "r")
    assert board.answer("team", "r") is None
    assert metrics.value("rollout_weight", policy="assist") == 0.0


def test_a_superseded_rollout_is_neither_a_success_nor_a_failure(board: Board) -> None:
    board.end("team", "r", "assist", replace(LIVE, phase=SUPERSEDED, closed=True))
    assert board.answer("team", "r")["phase"] == "Inconclusive"


def test_one_outcome_at_a_time_is_a_one() -> None:
    metrics = Metrics()
    board = Board(metrics)
    for outcome in (Outcome.UNMEASURED, Outcome.WORSE):
        board.put("team", "r", "assist", Verdict(outcome), LIVE)
    values = {each: metrics.value("rollout_verdict", policy="assist", outcome=each.value) for each in Outcome}
    assert [each for each, value in values.items() if value] == [Outcome.WORSE]
    assert metrics.value("rollout_weight", policy="assist") == 0.2


def outcomes(metrics: Metrics) -> list[str]:
    values = {each.value: metrics.value("rollout_verdict", policy="assist", outcome=each.value) for each in Outcome}
    return [each for each, value in values.items() if value]


HARMED = replace(LIVE, phase=ABORTED, reason="worse:satisfaction", closed=True)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (HARMED, ["worse"]),
        (replace(HARMED, reason="abort"), []),
        (replace(HARMED, reason="deadline:inconclusive"), []),
        (replace(HARMED, reason="tried:worse:satisfaction"), []),
        (replace(HARMED, phase=PROMOTED, reason="promoted"), []),
        (replace(HARMED, phase=SUPERSEDED, reason="superseded"), []),
        (replace(HARMED, steps=()), []),
    ],
)
def test_an_end_is_worse_where_harm_ended_what_somebody_had_met(status: Status, told: list[str]) -> None:
    metrics = Metrics()
    Board(metrics).end("team", "r", "assist", status)
    assert outcomes(metrics) == told


def test_an_end_stays_until_the_next_begins_and_is_not_told_at_each_resync() -> None:
    metrics = Metrics()
    board = Board(metrics)
    board.end("team", "r", "assist", HARMED)
    board.end("team", "r", "assist", HARMED)
    assert outcomes(metrics) == ["worse"]
    board.begin("assist")
    board.end("team", "r", "assist", HARMED)
    assert outcomes(metrics) == []


def test_one_that_only_waits_and_an_old_one_leave_a_live_ones_figures() -> None:
    metrics = Metrics()
    board = Board(metrics)
    board.put("team", "live", "assist", Verdict(Outcome.INCONCLUSIVE), LIVE)
    board.begin("assist")
    board.end("team", "old", "assist", replace(HARMED, began_at=LIVE.began_at - 100))
    board.drop("team", "old")
    assert outcomes(metrics) == ["inconclusive"]
    assert metrics.value("rollout_weight", policy="assist") == 0.2
    assert board.answer("team", "live")["phase"] == "Inconclusive"
