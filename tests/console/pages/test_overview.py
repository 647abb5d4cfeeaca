"""console/pages/overview: how satisfied people are by version and arm, and how much of what they said was joined."""

from __future__ import annotations

from pathlib import Path

from tests.console.world import World, text_of


async def test_join_rate_and_satisfaction_by_version_and_arm_stand_on_the_first_page(tmp_path: Path) -> None:
    page = text_of((await World(tmp_path).visitor("app-token").get("/")).text)
    assert "Join rate90.0 %" in page
    assert "Unlinked: no target1" in page
    for by in ("By version", "By arm"):
        row = " ".join(page.partition(by)[2].split()[:40])
        assert "v<1>" in row
        assert "50.0 %" in row
        assert "10.0 % – 90.0 %" in row
