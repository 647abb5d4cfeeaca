"""LiteLLM's proxy as its own command starts it: `python litellm_proxy.py CONFIG READY [its options]`.

Runs in `.venvs/litellm`, where nothing of ours is. A child says when it serves, then goes; this process is the proxy's.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.request
from pathlib import Path

_START_S = 240.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def watch(port: int, ready: Path) -> None:
    """Says the port once the proxy answers."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and os.getppid() != 1:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=2.0):
                beside = ready.with_suffix(".new")
                beside.write_text(json.dumps({"port": port}) + "\n", "utf-8")
                beside.replace(ready)
                return
        except OSError:
            time.sleep(0.1)


def main() -> None:
    config, ready, *options = sys.argv[1:]
    port = free_port()
    if os.fork() == 0:
        watch(port, Path(ready))
        os._exit(0)
    # Prices come from the package: nothing is asked of the network.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_LOG"] = "ERROR"
    from litellm.proxy.proxy_cli import run_server

    run_server(["--host", "127.0.0.1", "--port", str(port), "--config", config, *options])


if __name__ == "__main__":
    main()
