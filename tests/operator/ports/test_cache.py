"""ports/cache: the newest of each name, by owner, and nobody changes what is kept."""

from __future__ import annotations

from typing import Any

from rejoinder_operator.ports.cache import Cache


def seen(name: str, version: int, uid: str = "", owner: str = "", **spec: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "namespace": "team",
        "name": name,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
        "managedFields": [{"manager": "somebody"}],
    }
    if owner:
        meta["ownerReferences"] = [{"kind": "PreferenceLoop", "name": "l", "uid": owner, "controller": True}]
    return {"kind": "PolicyRound", "metadata": meta, "spec": spec}


def names(cache: Cache, owner: str | None = None) -> list[str]:
    return [item["metadata"]["name"] for item in cache.list("PolicyRound", "team", owner)]


def test_the_newest_is_kept_and_only_it_is_news() -> None:
    cache = Cache()
    assert cache.put("PolicyRound", seen("a", 5, number=5))
    assert not cache.put("PolicyRound", seen("a", 5, number=5))
    assert not cache.put("PolicyRound", seen("a", 4, number=4))
    assert cache.get("PolicyRound", "team", "a")["spec"] == {"number": 5}
    # Another object under the same name is news whatever its version.
    assert cache.put("PolicyRound", seen("a", 3, uid="other", number=3))
    assert cache.get("PolicyRound", "team", "a")["spec"] == {"number": 3}
    assert "managedFields" not in cache.get("PolicyRound", "team", "a")["metadata"]


def test_what_is_handed_out_is_the_callers() -> None:
    cache = Cache()
    cache.put("PolicyRound", seen("a", 1, number=1))
    cache.get("PolicyRound", "team", "a")["spec"]["number"] = 2
    assert cache.get("PolicyRound", "team", "a")["spec"] == {"number": 1}


def test_children_are_found_by_their_owner_also_after_a_change_of_hands() -> None:
    cache = Cache()
    cache.put("PolicyRound", seen("b", 1, owner="x"))
    cache.put("PolicyRound", seen("a", 2, owner="x"))
    cache.put("PolicyRound", seen("c", 3))
    assert (names(cache), names(cache, "x")) == (["a", "b", "c"], ["a", "b"])
    cache.put("PolicyRound", seen("a", 4, owner="y"))
    assert (names(cache, "x"), names(cache, "y")) == (["b"], ["a"])
    cache.drop("PolicyRound", "team", "b", "another uid")
    assert names(cache, "x") == ["b"]
    cache.drop("PolicyRound", "team", "b", "uid-b")
    assert (names(cache, "x"), names(cache)) == ([], ["a", "c"])


def test_what_a_list_does_not_have_is_gone_and_answered() -> None:
    cache = Cache()
    for name in "abc":
        cache.put("PolicyRound", seen(name, 1, owner="x"))
    gone = cache.keep("PolicyRound", {("team", "a")}, "team")
    assert sorted(item["metadata"]["name"] for item in gone) == ["b", "c"]
    assert cache.keep("PolicyRound", (), "elsewhere") == []
    assert (cache.keys("PolicyRound"), names(cache, "x")) == ([("team", "a")], ["a"])
    assert cache.uids("PolicyRound", "team") == {"uid-a"}
