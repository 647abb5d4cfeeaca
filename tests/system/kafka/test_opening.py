"""Opening a log where no broker is, again and again."""

from __future__ import annotations

import gc
import logging
import os
import threading
from functools import partial
from pathlib import Path

import pytest
from kafka.errors import KafkaError
from rejoinder.cli.supervisor import free_ports
from rejoinder.core.errors import LogUnavailable
from rejoinder.stream.kafka.library import Library
from rejoinder.stream.kafka.log import KafkaLog

from tests.chaos.harness import wait_until
from tests.system.kafka.world import settings

pytestmark = pytest.mark.system


def held() -> tuple[int, int]:
    """Threads of this process, and its open files, once what only refers to itself is gone."""
    gc.collect()
    return threading.active_count(), len(os.listdir(Path("/proc/self/fd")))


@pytest.mark.parametrize("client", ["log", "reader", "member"])
def test_a_client_that_cannot_be_made_leaves_no_thread_and_no_socket(
    client: str, caplog: pytest.LogCaptureFixture
) -> None:
    # A line that is kept keeps the error that it tells of, and with it a socket.
    caplog.set_level(logging.CRITICAL, "kafka")
    of = settings(f"127.0.0.1:{free_ports(1)[0]}", request_s=0.2)
    library = Library(of, "t")
    makes = {"log": partial(KafkaLog, of), "member": partial(library.member, "g", "m1")}
    make = makes.get(client) or getattr(library, client)
    before = held()
    for _ in range(3):
        with pytest.raises((LogUnavailable, KafkaError)):
            make()
    # Fewer, where something of before has ended meanwhile.
    wait_until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), "the end of what it began")
