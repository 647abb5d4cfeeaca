"""A real Chromium without a head, driven by its own DevTools protocol: a person's clicks, keys and eyes."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from tests.chaos.harness import wait_until

#: Loopback alone, no first-run pages, nothing of this machine's profile.
FLAGS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--window-size=1280,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_KEYS = {"Tab": ("Tab", 9), "Enter": ("Enter", 13), "Space": (" ", 32)}


def program() -> str | None:
    """Where Chromium lies; None where it does not."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page of one browser. owns: the process group, its profile, the socket. errors: what its console said.

    refused: what the content security policy kept a page from.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        found = program()
        assert found is not None
        # As root, as in a container, Chromium has no sandbox of its own.
        rootly = ("--no-sandbox",) if os.geteuid() == 0 else ()
        self._log = (folder / "chromium.log").open("wb")
        self._process = subprocess.Popen(
            [found, *FLAGS, *rootly, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._numbers = itertools.count(1)
        self.errors: list[str] = []
        self.loaded = 0
        try:
            port_file = folder / "profile" / "DevToolsActivePort"
            wait_until(lambda: port_file.exists() and port_file.read_text().count("\n") >= 1, "Chromium")
            port = port_file.read_text().split("\n")[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=60) as answered:
                page = next(each for each in json.load(answered) if each["type"] == "page")
            self._socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=60)
            for domain in ("Page", "Runtime", "Log", "DOM", "Accessibility", "Network"):
                self.tell(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def tell(self, method: str, **values: Any) -> dict[str, Any]:
        """One command; its answer. What the browser says meanwhile is kept."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": values}))
        while True:
            said = json.loads(self._socket.recv())
            self._hear(said)
            if said.get("id") == number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']['message']}")
                return said["result"]

    def go(self, url: str) -> None:
        """Returns when the page has loaded."""
        self._loading(lambda: self.tell("Page.navigate", url=url))

    def run(self, script: str) -> Any:
        """The value of an expression, awaited."""
        result = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"].get("exception", {}).get("description")))
        return result["result"].get("value")

    def text(self, selector: str = "main") -> str:
        """What is shown of it; "" where there is none."""
        return self.run(f"(document.querySelector({json.dumps(selector)}) || {{innerText: ''}}).innerText")

    def wait(self, selector: str, words: str = "", timeout_s: float = 60.0) -> None:
        """Until the element is there and shows the words."""

        def there() -> bool:
            found = json.dumps(selector)
            return bool(
                self.run(
                    f"[...document.querySelectorAll({found})].some(e => e.innerText.includes({json.dumps(words)}))"
                )
            )

        wait_until(there, f"{selector} with {words!r}", timeout_s)

    def click(self, selector: str, number: int = 0, leads: bool = False) -> None:
        """A mouse's click in the middle of what is shown. leads: returns when the page it leads to has loaded."""
        found = f"document.querySelectorAll({json.dumps(selector)})[{number}]"
        place = self.run(
            f"(() => {{ const e = {found}; e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )

        def press() -> None:
            for kind in ("mousePressed", "mouseReleased"):
                self.tell("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

        self._loading(press) if leads else press()

    def type(self, selector: str, text: str) -> None:
        """Into a field, in place of what stands there."""
        self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()")
        self.tell("Input.insertText", text=text)

    def press(self, key: str, leads: bool = False) -> None:
        name, code = _KEYS[key]
        text = {"Enter": "\r", "Space": " "}.get(key, "")

        def strike() -> None:
            about = {"key": name, "code": key, "windowsVirtualKeyCode": code}
            self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
            self.tell("Input.dispatchKeyEvent", type="keyUp", **about)

        self._loading(strike) if leads else strike()

    def picture(self, path: Path, whole: bool = True, of: str = "") -> None:
        """What the page looks like, as PNG. of: a selector, for one element alone."""
        path.parent.mkdir(parents=True, exist_ok=True)
        more = {"clip": self._place(of)} if of else {}
        shot = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **more)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _place(self, selector: str) -> dict[str, float]:
        """Of an element on the whole page."""
        found = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y, width, height = self.run(
            f"(r => [r.x + window.scrollX, r.y + window.scrollY, r.width, r.height])({found})"
        )
        return {"x": x, "y": y, "width": width, "height": height, "scale": 1}

    def dark(self, wanted: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])

    def named(self) -> list[tuple[str, str]]:
        """(role, name) of everything that a screen reader meets."""
        nodes = self.tell("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]

    @contextmanager
    def without_scripts(self) -> Iterator[None]:
        self.tell("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield
        finally:
            self.tell("Emulation.setScriptExecutionDisabled", value=False)

    def _loading(self, act: Callable[[], Any]) -> None:
        before = self.loaded
        act()
        deadline = time.monotonic() + 60.0
        while self.loaded == before:
            if time.monotonic() > deadline:
                raise TimeoutError("the page did not load")
            self._hear(json.loads(self._socket.recv()))

    def _hear(self, said: dict[str, Any]) -> None:
        kind, about = said.get("method"), said.get("params", {})
        if kind == "Page.loadEventFired":
            self.loaded += 1
        elif kind == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"]["text"])
        elif kind == "Runtime.exceptionThrown":
            self.errors.append(about["exceptionDetails"]["text"])

    def close(self) -> None:
        if (socket := getattr(self, "_socket", None)) is not None:
            socket.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._log.close()
