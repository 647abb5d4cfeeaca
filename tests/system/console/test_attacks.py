"""Every attack of the table gets its refusal, the console goes on, and no user's word is left in a log or a metric."""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from rejoinder.cli.main import main
from rejoinder.clients import Connection, FeedbackClient, LedgerClient
from rejoinder.clients.ledger import AnswersWanted
from rejoinder.core.errors import ForeignTenant, RoleMissing
from rejoinder.core.types import Comment, Feedback, Label, Polarity

from tests.chaos.harness import wait_until
from tests.system.console.attacks import FORM, HOSTILE, WORDS, Attack, Signed, never_comes, request, table, token
from tests.system.console.world import TOKENS, World

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Without models: nobody reads what is said here."""
    made = World(tmp_path_factory.mktemp("attacked"), secured=True, only=("feedback", "ledger", "console"))
    try:
        made.people(6)
        said = Feedback(event_id="hostile", interaction_id="i-1-0", attempt_id="a-i-1-0", kind=Comment(HOSTILE))
        assert made.feedback.record_feedback([said])[0].recorded
        wait_until(lambda: len(known(made)) == 6 and len(known(made)[-1].feedback) == 3, "what was said")
        yield made
    finally:
        made.close()


def known(world: World) -> list:
    found = world.ledger.answers(AnswersWanted()).answers
    return sorted(found, key=lambda each: each.interaction.interaction_id, reverse=True)


def sent(world: World, data: bytes) -> tuple[int, dict[str, str], str]:
    """(status, headers, body); status 0 where the connection ends instead."""
    with connected(world) as connection:
        connection.sendall(data)
        return answer_on(connection)


def connected(world: World) -> socket.socket:
    return socket.create_connection(("127.0.0.1", world.console_port), timeout=60)


def answer_on(connection: socket.socket) -> tuple[int, dict[str, str], str]:
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
    except (http.client.BadStatusLine, ConnectionResetError):
        return 0, {}, ""
    headers = {name.lower(): value for name, value in response.getheaders()}
    return response.status, headers, response.read().decode()


def signed(world: World, name: str) -> Signed:
    status, headers, _ = sent(world, request("POST", "/sign-in", FORM, urlencode({"token": TOKENS[name][0]}).encode()))
    assert status == 303
    cookie = headers["set-cookie"].partition(";")[0].partition("=")[2]
    _, _, page = sent(world, request("GET", "/", {"cookie": f"rejoinder_console={cookie}"}))
    found = re.search(r'name="form" value="([0-9a-f]+)"', page)
    assert found is not None
    return Signed(cookie, found[1])


def test_every_attack_gets_its_refusal_and_leaves_nothing_behind(world: World) -> None:
    ended = signed(world, "ann")
    end = {**FORM, "cookie": f"rejoinder_console={ended.cookie}"}
    assert sent(world, request("POST", "/sign-out", end, urlencode({"form": ended.form}).encode()))[0] == 303
    attacks = table(signed(world, "ann"), signed(world, "odo"), ended)
    assert len(attacks) >= 59
    with connected(world) as slow:
        # The console waits for it while all others are refused.
        slow.sendall(never_comes().data)
        problems = [problem_of(attack, sent(world, attack.data)) for attack in attacks]
        problems.append(problem_of(never_comes(), answer_on(slow)))
    wrong = list(filter(None, problems))
    assert not wrong, "\n".join(wrong)
    assert sent(world, request("GET", "/answers?says=all", token("ann")))[0] == 200, "it goes on"
    assert {signal.extractor for each in known(world) for heard in each.feedback for signal in heard.signals} == set()


def problem_of(attack: Attack, answer: tuple[int, dict[str, str], str]) -> str:
    status, headers, body = answer
    said = re.search(r'class="reason">([A-Z_]+)<', body)
    reason = said[1] if said else ""
    if status != attack.status or (attack.reason and reason != attack.reason):
        return f"{attack.name}: {status} {reason}, not {attack.status} {attack.reason}"
    if status and "content-security-policy" not in headers and attack.reason:
        return f"{attack.name}: without the policy"
    if WORDS in body or "Traceback" in body:
        return f"{attack.name}: its words come back"
    return ""


def test_what_a_hostile_user_said_is_shown_as_text(world: World) -> None:
    _, headers, page = sent(world, request("GET", "/answers/i-1-0", token("odo")))
    assert "<script>document" not in page
    assert "<svg onload" not in page
    assert "&lt;script&gt;document.title=" in page
    assert "script-src 'self'" in headers["content-security-policy"]


def test_the_services_behind_judge_the_visitor_s_own_token_too(world: World) -> None:
    def at(service: str, name: str) -> Connection:
        return Connection(world.at[service], token=TOKENS[name][0])

    with LedgerClient(at("ledger", "app")) as ledger, pytest.raises(RoleMissing):
        ledger.answers(AnswersWanted())
    with LedgerClient(at("ledger", "eve")) as ledger, pytest.raises(ForeignTenant):
        ledger.answers(AnswersWanted("default"))
    label = Label(source_event_id="f-i-1-0", interaction_id="i-1-0", polarity=Polarity.SAT)
    for name, refusal in (("odo", RoleMissing), ("app", RoleMissing), ("eve", ForeignTenant)):
        with FeedbackClient(at("feedback", name)) as feedback, pytest.raises(refusal):
            feedback.record_labels([label])


def test_no_word_is_left_in_a_log_a_metric_or_the_record_of_looks(world: World) -> None:
    """Last, when everything was said."""
    console = json.loads((world.data / "run" / "console.ready").read_text())
    url = f"http://127.0.0.1:{console['metrics_port']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answered:
        metrics = answered.read().decode()
    assert "rejoinder_rpc_s_bucket" in metrics
    logs = "".join(world.log_of(name) for name in ("feedback", "ledger", "console"))
    looks = (world.data / "looks.jsonl").read_text()
    for place in (metrics, logs, looks):
        assert WORDS not in place
        assert "Celsius" not in place
        assert not any(secret in place for secret, _, _ in TOKENS.values())
    assert {json.loads(line)["principal"] for line in looks.splitlines()} == {"ann", "odo"}


def test_an_auditor_is_told_by_one_command_who_looked_and_an_application_is_not(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(name: str) -> tuple[int, dict]:
        token = tmp_path / name
        token.write_text(TOKENS[name][0])
        with pytest.raises(SystemExit) as ended:
            main(["looks", "--address", world.at["ledger"], "--token-file", str(token), "--limit", "1000", "--json"])
        said = capsys.readouterr()
        return int(ended.value.code or 0), json.loads(said.out or said.err)

    status, found = told("odo")
    assert status == 0
    # One file on this machine: what the console showed, and what the ledger gave it and others.
    assert {(look["principal"], look["by"]) for look in found["looks"]} == {
        (name, by) for name in ("ann", "odo") for by in ("console", "ledger")
    }
    status, refused = told("app")
    assert (status, refused["error"]["reason"]) == (2, "ROLE_MISSING")
    status, refused = told("eve")
    assert (status, refused["error"]["reason"]) == (2, "FOREIGN_TENANT")


def test_with_the_ledger_gone_the_console_says_so_and_only_reads(world: World) -> None:
    ann = signed(world, "ann")
    world.stop("ledger")
    status, _, page = sent(world, request("GET", "/", token("ann")))
    assert (status, "cannot be shown" in page, "reading only" in page) == (200, True, True)
    assert sent(world, request("GET", "/answers", token("ann")))[0] == 503
    form = urlencode({"form": ann.form, "interaction": "i-1-0", "source": "f-i-1-0", "polarity": "sat"}).encode()
    cookie = {**FORM, "cookie": f"rejoinder_console={ann.cookie}"}
    assert sent(world, request("POST", "/label", cookie, form))[0] == 503
    assert sent(world, request("GET", "/rounds", token("ann")))[0] == 200


def test_nothing_of_it_lies_readable_by_others(world: World) -> None:
    assert (world.data / "looks.jsonl").stat().st_mode & 0o077 == 0
    assert Path(world.data / "run" / "console.yaml").exists()
