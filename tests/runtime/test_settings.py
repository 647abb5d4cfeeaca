from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field
from rejoinder.core.errors import BadFile, BadSettings
from rejoinder.runtime.settings import ServerSettings, Theme, load


class Inner(Theme):
    max_tokens: int = Field(default=8, ge=1)
    """Tokens."""
    names: tuple[str, ...] = ()
    """Names."""
    by_name: dict[str, int] = Field(default={})
    """Free keys."""


class Whole(Theme):
    server: ServerSettings = ServerSettings(port=50053)
    batch: Inner = Inner()


def read(tmp_path: Path, text: str = "", **env: str) -> Whole:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    return load(Whole, "reward", file, env)


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    text = "server: {port: 1, grace_s: 3}\nbatch: {max_tokens: 5}\n"
    settings = read(tmp_path, text, REJOINDER_REWARD__SERVER__PORT="2")
    assert (settings.server.port, settings.server.grace_s, settings.batch.max_tokens) == (2, 3.0, 5)
    assert settings.server.host == "127.0.0.1"


def test_lists_and_mappings_are_yaml_in_the_environment(tmp_path: Path) -> None:
    settings = read(tmp_path, REJOINDER_REWARD__BATCH__NAMES="[a, b]", REJOINDER_REWARD__BATCH__BY_NAME="{x: 1}")
    assert (settings.batch.names, settings.batch.by_name) == (("a", "b"), {"x": 1})


def test_free_keys_are_free_below_a_mapping(tmp_path: Path) -> None:
    assert read(tmp_path, "batch: {by_name: {anything: 1}}").batch.by_name == {"anything": 1}


@pytest.mark.parametrize(
    ("text", "env", "named"),
    [
        ("server: {prot: 1}", {}, ("server.prot", "port")),
        ("btach: {}", {}, ("btach", "batch")),
        ("", {"REJOINDER_REWARD__SERVER__PROT": "7"}, ("REJOINDER_REWARD__SERVER__PROT", "port")),
        ("", {"REJOINDER_REWARD__SEVER__PORT": "7"}, ("REJOINDER_REWARD__SEVER__PORT", "server")),
        ("", {"REJOINDER_REWADR__SERVER__PORT": "7"}, ("REJOINDER_REWADR__SERVER__PORT", "reward")),
        ("", {"REJOINDER_REWARD_SERVER_PORT_": "7"}, ("REJOINDER_REWARD_SERVER_PORT_", "two underscores")),
        ("", {"REJOINDER_REWARD__SERVER__PORT": "lots"}, ("server.port",)),
        ("", {"REJOINDER_REWARD__SERVER__PORT": "70000"}, ("server.port",)),
        ("batch: {max_tokens: 0}", {}, ("batch.max_tokens",)),
        ("", {"REJOINDER_REWARD__BATCH__NAMES": "[a"}, ("REJOINDER_REWARD__BATCH__NAMES", "YAML")),
        ("", {"REJOINDER_REWARD__BATCH__BY_NAME": "{x: 2024-99-99}"}, ("REJOINDER_REWARD__BATCH__BY_NAME",)),
    ],
)
def test_what_no_field_has_is_an_error_that_names_it(
    tmp_path: Path, text: str, env: dict[str, str], named: tuple[str, ...]
) -> None:
    with pytest.raises(BadSettings) as raised:
        read(tmp_path, text, **env)
    for name in named:
        assert name in raised.value.message


def test_an_impossible_value_is_named_without_being_printed(tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as raised:
        read(tmp_path, REJOINDER_REWARD__SERVER__PORT="s3cret")
    assert "s3cret" not in raised.value.message


def test_other_services_and_what_kubernetes_sets_are_no_concern_of_ours(tmp_path: Path) -> None:
    env = {
        "REJOINDER_FEEDBACK__SERVER__PORT": "1",
        "REJOINDER_REWARD_SERVICE_HOST": "10.0.0.1",
        "REJOINDER_REWARD_SERVICE_PORT_GRPC": "50053",
        "REJOINDER_REWARD_PORT": "tcp://10.0.0.1:50053",
        "REJOINDER_REWARD_PORT_50053_TCP_ADDR": "10.0.0.1",
        "PATH": "/bin",
    }
    assert read(tmp_path, **env) == Whole()


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "just words", "server: 2024-99-99", "&a {k: *a}", "[" * 400])
def test_a_file_that_is_no_mapping_is_a_bad_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadFile):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_a_bad_file(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="absent"):
        load(Whole, "reward", tmp_path / "absent.yaml", {})


def test_every_field_of_the_chassis_says_what_it_does_in_the_schema() -> None:
    def undocumented(schema: dict[str, object]) -> list[str]:
        themes = {"ServerSettings": schema, **schema["$defs"]}
        return [
            f"{theme}.{name}"
            for theme, part in themes.items()
            for name, field in part["properties"].items()
            if not field.get("description") and "$ref" not in field
        ]

    assert undocumented(ServerSettings.model_json_schema()) == []


JWT = "{issuer: 'https://issuer.example', audience: rejoinder, jwks: 'https://issuer.example/keys'}"


def test_an_issuer_is_named_with_its_audience_and_its_keys(tmp_path: Path) -> None:
    jwt = read(tmp_path, f"server: {{auth: {{jwt: {JWT}}}}}").server.auth.jwt
    assert (jwt.is_url, jwt.algorithms, jwt.roles_claim) == (True, ("RS256", "ES256"), "roles")
    assert read(tmp_path).server.auth.jwt.issuer == ""
    for name in ("issuer", "audience", "jwks"):
        with pytest.raises(BadSettings, match=r"server\.auth\.jwt.*set together"):
            read(tmp_path, **{f"REJOINDER_REWARD__SERVER__AUTH__JWT__{name.upper()}": "x"})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALGORITHMS", "[HS256]", "algorithms"),
        ("ALGORITHMS", "[none]", "algorithms"),
        ("ALGORITHMS", "[]", "algorithms"),
        ("LEEWAY_S", "3600", "leeway_s"),
        ("ROLES_CLAIM", "", "roles_claim"),
        ("AUDIENC", "x", "audience"),
    ],
)
def test_what_would_weaken_a_tokens_check_is_refused(tmp_path: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        read(tmp_path, f"server: {{auth: {{jwt: {JWT}}}}}", **{f"REJOINDER_REWARD__SERVER__AUTH__JWT__{name}": value})
