"""Services that answer people and log what they were shown: rerank, and the gateway before somebody else's server."""

from __future__ import annotations

import itertools
import sys
from contextlib import ExitStack
from functools import partial

import httpx
import openai
from rejoinder.cli.supervisor import free_ports
from rejoinder.clients import Connection
from rejoinder.clients.rerank import RerankAsk, RerankClient
from rejoinder.core.errors import Unavailable

from tests.chaos.scenarios.askers import Askers, killed_again_and_again
from tests.chaos.scenarios.row import Outcome
from tests.chaos.scenarios.site import Site
from tests.system.gateway.upstream import Upstream, serving
from tests.system.gateway.world import published


class BrokenOff(Exception):
    """A stream that ended without its end."""


PEOPLE = 3
#: How a stream ends when whoever sends it is killed.
BREAKS = (openai.APIError, httpx.TransportError, BrokenOff)
#: Without a model: what is killed here is the way of a slate into the log.
ASK = RerankAsk("How do I bake bread?", (("bread", "Mix flour and water."), ("cat", "My cat sleeps.")), user_id="u")


def rerank_killed(site: Site, events: int) -> Outcome:
    """F06, F07: kill -9 of the rerank process while people are shown slates."""
    with site.town() as town, ExitStack() as closing:
        spool = town.folder / "spool"
        settings = {
            "RANKERS": '["identity"]',
            "RECORD__FEEDBACK": f"127.0.0.1:{town.feedback.port}",
            "RECORD__SPOOL": str(spool),
        }
        rerank = town.process("rerank", "rerank", (sys.executable, "-m", "rejoinder.rerank"), settings, theme="")
        rerank.start()
        clients = [RerankClient(Connection(f"127.0.0.1:{rerank.port}", tries=1)) for _ in range(PEOPLE)]
        for client in clients:
            closing.callback(client.close)
        asks = [lambda client=client: client.rerank(ASK).attempt_id for client in clients]
        return killed_again_and_again(town, rerank, Askers(asks, (Unavailable,), town.folder), spool, events)


def gateway_killed(site: Site, events: int) -> Outcome:
    """F06, F07: kill -9 of the gateway while it streams the answers of an OpenAI-compatible server."""
    with site.town() as town, ExitStack() as closing:
        spool, registry, port = town.folder / "spool", town.folder / "registry", free_ports(1)[0]
        upstream = closing.enter_context(serving(Upstream()))
        (stable, *_) = published(registry)
        settings = {
            "HTTP__PORT": str(port),
            "UPSTREAM__KIND": "openai",
            "UPSTREAM__OPENAI__URL": upstream.url,
            "UPSTREAM__OPENAI__STABLE": stable.version,
            "ARMS__REGISTRY": str(registry),
            "RECORD__FEEDBACK": f"127.0.0.1:{town.feedback.port}",
            "RECORD__SPOOL": str(spool),
        }
        command = (sys.executable, "-m", "rejoinder.gateway")
        gateway = town.process("gateway", "gateway", command, settings, "ARMS__KAFKA", "ARMS__LOG")
        gateway.start()
        url, numbers = f"http://127.0.0.1:{port}/v1", itertools.count()
        people = [
            closing.enter_context(openai.OpenAI(api_key="unused", base_url=url, max_retries=0)) for _ in range(PEOPLE)
        ]
        asks = [partial(_streamed, person, numbers) for person in people]
        return killed_again_and_again(town, gateway, Askers(asks, BREAKS, town.folder), spool, events)


def _streamed(client: openai.OpenAI, numbers: itertools.count[int]) -> str:
    """The attempt of an answer that was read to its end."""
    chunks = list(
        client.chat.completions.create(
            model="assist", messages=[{"role": "user", "content": f"question {next(numbers)}"}], stream=True, user="dan"
        )
    )
    if not chunks or chunks[-1].choices[0].finish_reason != "stop":
        raise BrokenOff
    return str(chunks[0].model_extra["rejoinder"]["attempt_id"])
