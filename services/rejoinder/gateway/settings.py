"""What can be turned at the gateway: `REJOINDER_GATEWAY__UPSTREAM__KIND=openai`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from rejoinder.runtime.arms.theme import ArmsTheme
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.settings import ServerSettings, Theme


class HttpTheme(Theme):
    host: str = "127.0.0.1"
    """Address of the HTTP port; `server.host` and `server.port` are those of health and ListArms (gRPC)."""
    port: int = Field(default=8080, ge=0, le=65535)
    """HTTP port; 0 takes a free one and says which in the log."""
    max_connections: int = Field(default=1000, ge=1)
    """Connections at once; the next is answered 503, so that memory is bounded whatever comes."""
    head_s: float = Field(default=10.0, gt=0)
    """Seconds a connection may take for a request's headers; then it is closed."""
    body_s: float = Field(default=20.0, gt=0)
    """Seconds a request may take for its body; then 408."""
    stall_s: float = Field(default=60.0, gt=0)
    """Seconds a caller may read nothing of an answer that waits for it; then its connection is cut."""
    keep_alive_s: float = Field(default=30.0, gt=0)
    """Seconds an idle connection is kept for the next request."""
    head_bytes: int = Field(default=32 * 1024, ge=1024)
    """Bytes of a request's line and headers; more are refused."""


class PolicyUpstream(CallerTheme):
    address: str = "127.0.0.1:50052"
    """host:port of the policy service. Its token is of a caller that may name the tenants served here."""


class OpenAiUpstream(Theme):
    url: str = Field(default="http://127.0.0.1:8000/v1", pattern=r"^https?://[^/]")
    """Base address of the OpenAI-compatible server, `/v1` included."""
    key_file: Path | None = None
    """API key for it, read again at each call; unset: none is sent."""
    stable: str = ""
    """Version that is stable while no registry says so (arms.registry unset, or away at the start)."""
    server: Literal["any", "vllm"] = "any"
    """What it is. vllm: its adapters are loaded and let go as arms name versions (start it with `--enable-lora` and
    VLLM_ALLOW_RUNTIME_LORA_UPDATING=True), and what it answers from is checked in its list and in each answer."""
    base: str = ""
    """vllm: version that its base model is; every other version is an adapter. "": `stable`."""
    lora_path: str = "/registry/artefacts/{trained}/adapter"
    """vllm: folder, on its own file system, of a version's adapter in PEFT's layout. `{trained}` is the digest of the
    artefact that training made, `{digest}` the version's own, `{version}` its name."""
    models: Mapping[str, str] = Field(default_factory=dict)
    """Version → the model's name at the server, where it is another (an adapter's name, the base's)."""
    other_models: bool = True
    """True passes requests for models that are none of the policy's versions through, recorded under their own name."""
    connect_s: float = Field(default=2.0, gt=0)
    """Seconds to connect; then 503 and the caller tries again."""
    max_connections: int = Field(default=512, ge=1)
    """Connections to it at once."""
    poll_s: float = Field(default=5.0, gt=0)
    """How often it is asked which models it has: bounds the time from a loaded adapter to its first answer."""
    ask_usage: bool = True
    """True asks it for the token counts of a stream where the caller does not, and keeps them from the caller."""


class UpstreamTheme(Theme):
    kind: Literal["policy", "openai"] = "policy"
    """Who answers: our policy service, or an OpenAI-compatible server (then arms are drawn here)."""
    model: str = "assist"
    """The model's name for applications; with our policy service also the policy that is asked for."""
    aliases: tuple[str, ...] = ()
    """Other names that mean it, so that applications which ask for `gpt-4o` need no change."""
    max_choices: int = Field(default=8, ge=1, le=64)
    """Most answers of one request (`n`)."""
    policy: PolicyUpstream = PolicyUpstream()
    openai: OpenAiUpstream = OpenAiUpstream()


class GatewayArms(ArmsTheme):
    registry: str = ""
    """Folder or fsspec address of the registry; "" draws no arms: everybody gets upstream.openai.stable."""


class RecordTheme(CallerTheme):
    feedback: str = "127.0.0.1:50051"
    """Address of the feedback service: browsers' feedback, and the answers of an OpenAI upstream."""
    follow_ups: bool = True
    """True records what a user says behind an answer as its follow-up, found in the next request's history; False where
    the application sends follow-ups itself."""
    spool: Path = Path("rejoinder-data/spool/gateway")
    """Folder of the local store that answers of an OpenAI upstream pass through."""
    spool_max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """Bound of that store: at most half of the volume it lies on. Full: answers go on, from stable, and are counted."""
    drain_s: float = Field(default=5.0, ge=0)
    """Seconds at shutdown for what waits in the store; what is left lies on disk for the next process. As many for
    follow-ups, which wait in memory."""


class RerankTheme(CallerTheme):
    address: str = ""
    """host:port of the rerank service; "" answers /v1/rerank with 404."""


class BrowserTheme(Theme):
    key_file: Path | None = None
    """Secret (16 bytes or more) that feedback tokens are signed with, read again when it changes. Unset: no tokens are
    handed out, and only callers with credentials may send feedback."""
    old_key_file: Path | None = None
    """The secret before, still accepted: set it for token_s while keys change."""
    token_s: float = Field(default=3600.0, gt=0)
    """Seconds that a token lives: how long a page may rate what it was shown."""
    origins: tuple[str, ...] = ()
    """Pages (`https://chat.example`) that may call /v1/feedback from a browser; ("*",) is every one."""
    max_bytes: int = Field(default=64 * 1024, ge=1024)
    """Body of a feedback request; what browsers let sendBeacon send."""
    max_items: int = Field(default=100, ge=1, le=1000)
    """Items of a feedback request."""


class GatewaySettings(Theme):
    server: ServerSettings = ServerSettings(port=50058)
    """Health and ListArms (gRPC), limits, TLS (of both ports) and callers."""
    http: HttpTheme = HttpTheme()
    """The HTTP port."""
    upstream: UpstreamTheme = UpstreamTheme()
    """Who answers."""
    arms: GatewayArms = GatewayArms()
    """Who is served what, for an OpenAI upstream."""
    record: RecordTheme = RecordTheme()
    """Where answers and feedback are logged."""
    rerank: RerankTheme = RerankTheme()
    """Who ranks."""
    browser: BrowserTheme = BrowserTheme()
    """What pages may send."""
