"""What an image holds, as CycloneDX 1.5, read off the locks that it was installed from: `python sbom.py LOCK…`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def components(locks: str) -> list[dict[str, Any]]:
    """One for each pinned package, once, sorted by name; the hashes are those that an installation accepts."""
    found: list[dict[str, Any]] = []
    for line in locks.splitlines():
        pin = _PIN.match(line)
        if pin:
            name = re.sub(r"[-_.]+", "-", pin[1]).lower()
            purl = f"pkg:pypi/{name}@{pin[2]}"
            found.append(
                {"type": "library", "name": name, "version": pin[2], "purl": purl, "bom-ref": purl, "properties": []}
            )
        elif (hashed := _HASH.search(line)) and found:
            found[-1]["properties"].append({"name": "accepted:sha256", "value": hashed[1]})
    return sorted({each["purl"]: each for each in found}.values(), key=lambda each: each["purl"])


def bom(locks: str) -> dict[str, Any]:
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "rejoinder", "bom-ref": "rejoinder"}},
        "components": components(locks),
    }


if __name__ == "__main__":
    print(json.dumps(bom("".join(Path(lock).read_text("utf-8") for lock in sys.argv[1:])), indent=1))
