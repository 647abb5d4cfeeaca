"""A user's own model, named in settings: exported at the first start, found at the next, in nobody's place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.policy.world import World, asking
from tests.training.conftest import build_base

pytestmark = [pytest.mark.system, pytest.mark.timeout(500)]


@contextmanager
def named(folder: Path, model: Path, registry: Path, exports: Path) -> Iterator[World]:
    """A policy process whose settings name a model. Its registry is none that a test has filled."""
    folder.mkdir()
    settings = {"MODEL__OWN__NAME": str(model), "MODEL__OWN__EXPORTS": str(exports), "MODEL__REGISTRY": str(registry)}
    made = World(folder, settings)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.proof
def test_a_llama_of_ones_own_is_served_and_its_export_is_made_once(tmp_path: Path) -> None:
    mine = build_base(tmp_path / "llama", kind="llama")
    exports = tmp_path / "exports"
    with named(tmp_path / "one", mine, tmp_path / "registry", exports) as world:
        world.start_policy(timeout_s=240.0)
        start, text, _ = world.ask(asking())
        assert start.served.version == "assist-base"
        assert text
    (export,) = [path for path in exports.iterdir() if path.is_dir()]
    made_at = (export / "digest.json").stat().st_mtime_ns
    # Another registry, as on another machine that has the folder of exports: nothing is made again.
    with named(tmp_path / "two", mine, tmp_path / "another", exports) as world:
        world.start_policy(timeout_s=240.0)
        assert world.ask(asking())[0].served.version == "assist-base"
    assert (export / "digest.json").stat().st_mtime_ns == made_at


def test_a_model_that_is_not_here_ends_the_start_with_the_command_that_brings_it(tmp_path: Path) -> None:
    with named(tmp_path / "one", Path("nobody/nothing"), tmp_path / "registry", tmp_path / "exports") as world:
        with pytest.raises(RuntimeError, match=r"hf download nobody/nothing"):
            world.start_policy()


def test_a_line_keeps_its_base_whatever_the_settings_name_later(tmp_path: Path) -> None:
    """The registry of the world has a line of that name; an export of something else may not take its place."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "genai_config.json").write_text("{}")
    with named(tmp_path / "one", other, tmp_path / "one" / "registry", tmp_path / "exports") as world:
        with pytest.raises(RuntimeError, match="stands for another base"):
            world.start_policy()
