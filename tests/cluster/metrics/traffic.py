"""People and applications who use a site, and misuse it: each metric is met by somebody."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import grpc
import httpx
from rejoinder.cli import up
from rejoinder.clients import Connection, FeedbackClient, PolicyClient, RerankClient, RewardClient, RolloutClient
from rejoinder.clients.policy import GenerateAsk, Start
from rejoinder.clients.rerank import RerankAsk
from rejoinder.core.errors import RejoinderError
from rejoinder.core.ids import uuid7
from rejoinder.core.types import Comment, Edit, Feedback, FollowUp, Message, Rating, Role, Sampling

from tests.cluster.metrics.site import POLICY, SECOND, Site

#: Longer than ingest takes here: whoever lets it pass finds it rejected.
LONG = "too long " * 50


class Traffic:
    """owns: the clients; close() closes them. A round comes back when everything in it was answered or refused."""

    def __init__(self, site: Site) -> None:
        self._site, self._count = site, 0
        self._stack = ExitStack()

        def client(kind: Any, name: str, **options: Any) -> Any:
            return self._stack.enter_context(kind(Connection(site.at[name], deadline_s=30.0, **options)))

        self._policies = {POLICY: client(PolicyClient, "policy"), SECOND: client(PolicyClient, "policy-second")}
        self._feedback = client(FeedbackClient, "feedback")
        self._reward, self._rerank = client(RewardClient, "reward", tries=1), client(RerankClient, "rerank")
        self.rollouts = client(RolloutClient, "rollouts")
        self._http = self._stack.enter_context(httpx.Client(timeout=30))

    def roll_out(self) -> None:
        """The engine's rollout begins."""
        self.rollouts.start(POLICY, self._site.versions[POLICY].version)

    def behave(self) -> None:
        """A round in which nobody does anything wrong."""
        self._each(self._chat)

    def talk(self) -> None:
        """A round of everything; whom an error meets, it meets."""
        self._each(self._chat, self._misuse, self._rank, self._judge, self._browse, self._log_theirs, self._crowd)

    def ask(self) -> None:
        """A round of what goes on without a log."""
        self._each(self._ask, self._rank, self._visit, self._log_theirs)

    def _each(self, *whats: Callable[[int], object]) -> None:
        self._count += 1
        for one in whats:
            with suppress(RejoinderError, httpx.TransportError):
                one(self._count)

    def _ask(self, number: int) -> list[tuple[str, str]]:
        """New users of both lines ask; (user, interaction) of each."""
        asked = (Message(Role.USER, "How warm is it in Rome? Write to me at ann@example.org."),)
        shown = []
        for policy, client in self._policies.items():
            user = f"{policy}-{number}"
            for part in client.generate(GenerateAsk(asked, user_id=user, sampling=Sampling(1.0, max_tokens=6))):
                shown += [(user, part.interaction_id)] if isinstance(part, Start) else []
        return shown

    def _chat(self, number: int) -> None:
        """They say what they think of it."""
        for user, shown in self._ask(number):
            kinds = (FollowUp("Thanks, that is perfect!"), Rating("thumb", 1.0), Edit("It is 31 degrees."))
            words = FollowUp("これは違います、もう一度お願いします") if number % 3 else Comment("Not bad at all.")
            self._feedback.record_feedback(
                [Feedback(interaction_id=shown, user_id=user, kind=kind) for kind in (*kinds, words)]
            )

    def _misuse(self, number: int) -> None:
        """One id for two bodies, votes by a script, an unknown policy, a question that the log refuses."""
        again, votes = uuid7(), [uuid7() for _ in range(8)]
        for words in ("no", "yes"):
            self._feedback.record_feedback([Feedback(event_id=again, interaction_id=again, kind=FollowUp(words))])
        with suppress(RejoinderError):
            self._feedback.record_feedback(
                [Feedback(interaction_id=vote, user_id="script", kind=Rating("thumb", 1.0)) for vote in votes], 1.0
            )
        with suppress(RejoinderError):
            self.rollouts.get("nobody")
        with grpc.insecure_channel(self._site.at["feedback"]) as channel, suppress(grpc.RpcError):
            channel.unary_unary("/rejoinder.v1.FeedbackService/RecordFeedback")(b"\xff", timeout=10)
        tokens = Sampling(1.0, max_tokens=1)
        for _ in self._policies[POLICY].generate(GenerateAsk((Message(Role.USER, LONG),), sampling=tokens)):
            pass

    def _rank(self, number: int) -> None:
        """A slate, and one that the log will refuse."""
        candidates = (("1", "The Ebro."), ("2", "The Tagus and the Duero."), ("3", "None."))
        for more in ((), (("4", LONG),)):
            self._rerank.rerank(RerankAsk("rivers", (*candidates, *more)))

    def _judge(self, number: int) -> None:
        """Rewards, for callers who do not wait, and who come too often."""
        asked = (Message(Role.USER, "Which rivers are there?"),)

        def score(deadline_s: float) -> None:
            with suppress(RejoinderError):
                self._reward.score(asked, ["The Ebro. " * 30] * 8, "", deadline_s)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(score, (30.0, 30.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)))
        for _ in range(12):
            with suppress(RejoinderError):
                self._reward.heads()

    def _gate(self, user: str, *turns: str) -> dict[str, Any]:
        """What the gateway answers. turns: the user's and the assistant's, in turn."""
        messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
        body = {"model": POLICY, "messages": messages, "user": user}
        url = f"http://{self._site.at[up.http_of('gateway')]}/v1/chat/completions"
        return dict(self._http.post(url, json=body).json())

    def _visit(self, number: int) -> None:
        """An application behind the gateway."""
        self._gate(f"visit-{number}", "Who is it?")

    def _browse(self, number: int) -> None:
        """Another one, whose users say more; a page's thumb; a person at the console."""
        user = f"web-{number}"
        ask = partial(self._gate, user)
        first = ask("Where is it?")
        token, said = first["rejoinder"]["feedback_token"], first["choices"][0]["message"]["content"]
        ask("Where is it?", said, "That is wrong, I asked for the street.")
        event = {"interaction_id": first["rejoinder"]["interaction_id"], "rating": {"number": 1}}
        self._http.post(
            f"http://{self._site.at[up.http_of('gateway')]}/v1/feedback", json={"tokens": [token], "events": [event]}
        )
        ask("break")
        self._http.get(f"http://{self._site.at[up.http_of('console')]}/")
        # The server lets the canary go between two of the gateway's looks at what it has.
        had, self._site.upstream.models = self._site.upstream.models, self._site.upstream.models[:1]
        for one in range(4):
            self._gate(f"{user}-{one}", "Where is she?")
        self._site.upstream.models = had

    def _log_theirs(self, number: int) -> None:
        """Another application, which writes its turns to a file and posts some: a broken line, an answer too long."""
        turns = [
            {"id": f"t{number}-{n}", "messages": [{"role": "user", "content": "?"}], "answer": "a"} for n in (1, 2)
        ]
        lines = [json.dumps(turns[0]), "{", json.dumps({**turns[1], "answer": LONG})]
        with self._site.followed.open("a") as file:
            file.write("\n".join(lines) + "\n")
        posted = {"turns": [{**turns[1], "id": f"p{number}"}]}
        self._http.post(f"http://{self._site.at[up.http_of('observe')]}/v1/turns", json=posted)

    def _crowd(self, number: int) -> None:
        """More at once than the engine writes together."""
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(partial(self._write, POLICY, 60), (f"c{number}-{one}" for one in range(12))))

    def _write(self, policy: str, tokens: int, user: str, begun: threading.Event | None = None) -> None:
        asked = GenerateAsk((Message(Role.USER, "And now?"),), user_id=user, sampling=Sampling(1.0, max_tokens=tokens))
        with suppress(RejoinderError):
            for _ in self._policies[policy].generate(asked):
                if begun is not None:
                    begun.set()

    def cut(self) -> None:
        """A replica is told to end while it writes more than it may finish."""
        begun = threading.Event()
        with ThreadPoolExecutor(12) as pool:
            for one in range(12):
                pool.submit(self._write, SECOND, 200, f"l-{one}", begun)
            self._site.end("policy-second", begun.is_set)

    def close(self) -> None:
        self._stack.close()
