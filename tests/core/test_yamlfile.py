"""core/yamlfile: whatever a file holds is plain values of bounded size, or BadFile."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core import yamlfile
from rejoinder.core.errors import BadFile

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
CHAIN = "a0: &a0 [[[[[[[[[[x]]]]]]]]]]\n" + "".join(
    f"a{n}: &a{n} [[[[[[[[[[*a{n - 1}]]]]]]]]]]\n" for n in range(1, 200)
)


def test_a_file_is_its_values(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("a: [1, 2.5, x]\nb: {c: null}\n")
    assert yamlfile.read(file) == {"a": [1, 2.5, "x"], "b": {"c": None}}
    file.write_text("")
    assert yamlfile.read(file) is None


def test_an_alias_that_ends_is_no_fault() -> None:
    assert yamlfile.parse("a: &a {k: 1}\nb: *a\nc: [*a, *a]", "x")["c"] == [{"k": 1}, {"k": 1}]
    assert yamlfile.parse(f"a: {'[' * 40}{']' * 40}", "x")


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "2024-99-99",
        "x: 2024-99-99",
        "!!int x",
        "!!float x",
        "!!bool x",
        "!!timestamp x",
        "!!python/object/apply:os.system [id]",
        "{<<: 1}",
        "? [a, b]\n: c",
        "\x00",
        "\t- x",
        "---\n...\n---\n",
        "[" * 400,
        "[" * 60 + "]" * 60,
        "&a [*a]",
        "&a {k: *a}",
        "a: &a [[*a, *a], *a, *a]",
        BOMB,
        CHAIN,
        f"x: {2**63}",
        f"x: 0x{'f' * 9000}",
        "x: " + "9" * 5000,
    ],
    ids=lambda text: text[:20],
)
def test_anything_else_is_one_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "given.yaml"
    file.write_text(text)
    with pytest.raises(BadFile, match=r"given\.yaml"):
        yamlfile.read(file)


def test_what_cannot_be_read_is_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "binary", tmp_path / ("x" * 300), Path("a\x00b")):
        with pytest.raises(BadFile, match="cannot be read"):
            yamlfile.read(path)
