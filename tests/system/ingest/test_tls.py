"""TLS and mTLS from files, and their reload without a restart."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from rejoinder.clients import AsyncFeedbackClient, Tls
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import RejoinderError, Unauthenticated
from rejoinder.core.types import Feedback, FollowUp
from rejoinder.runtime.settings import AuthSettings, ServerSettings, TlsSettings
from rejoinder.stream.headers import event_of
from rejoinder.stream.memory import MemoryLog

from tests.patient import Patient
from tests.system.ingest.serving import Running, running

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder, made with openssl."""

    folder: Path
    name: str

    @property
    def ca(self) -> Path:
        return self.folder / f"{self.name}-ca.pem"

    def make(self) -> Authority:
        key = self.folder / f"{self.name}-ca.key"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/CN={self.name}", "-keyout", str(key), "-out", str(self.ca)),
        )
        return self

    def issue(self, host: str, also: str = "") -> tuple[Path, Path]:
        """(certificate, key) of a name. also: a further one, as `,IP:127.0.0.1`."""
        stem = self.folder / f"{self.name}-{host}"
        key, request, cert, names = (stem.with_suffix(s) for s in (".key", ".csr", ".pem", ".ext"))
        names.write_text(f"subjectAltName=DNS:{host}{also}\n")
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host}"),
            *("-keyout", str(key), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self.ca.with_suffix(".key"))),
            *("-days", "2", "-extfile", str(names), "-out", str(cert)),
        )
        return cert, key


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def put(pair: tuple[Path, ...], at: tuple[Path, ...]) -> None:
    """Puts a pair where the server looks, each file whole or not at all."""
    for source, target in zip(pair, at, strict=True):
        beside = target.with_suffix(".new")
        beside.write_bytes(source.read_bytes())
        beside.replace(target)


async def recorded(server: Running, tls: Tls | None) -> bool:
    connection = Patient(server.target, tls=tls, tries=1, deadline_s=60)
    async with AsyncFeedbackClient(connection) as client:
        return (await client.record_feedback([Feedback(interaction_id="i", kind=FollowUp("no"))]))[0].recorded


@pytest.fixture
def old(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "old").make()


@pytest.fixture
def new(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "new").make()


async def test_a_new_certificate_serves_the_next_handshake(tmp_path: Path, old: Authority, new: Authority) -> None:
    at = (tmp_path / "tls.crt", tmp_path / "tls.key")
    put(old.issue("feedback"), at)
    settings = ServerSettings(grace_s=0.5, tls=TlsSettings(cert_file=at[0], key_file=at[1]))
    async with running(server=settings) as server:
        assert await recorded(server, Tls(old.ca, server_name="feedback"))
        with pytest.raises(RejoinderError):
            await recorded(server, Tls(new.ca, server_name="feedback"))
        with pytest.raises(RejoinderError):
            await recorded(server, None)
        put(new.issue("feedback"), at)
        assert await recorded(server, Tls(new.ca, server_name="feedback"))
        with pytest.raises(RejoinderError):
            await recorded(server, Tls(old.ca, server_name="feedback"))


async def test_files_that_cannot_be_read_leave_the_old_certificate_in_force_and_are_told(
    tmp_path: Path, old: Authority
) -> None:
    at = (tmp_path / "tls.crt", tmp_path / "tls.key")
    put(old.issue("feedback"), at)
    settings = ServerSettings(grace_s=0.5, tls=TlsSettings(cert_file=at[0], key_file=at[1]))
    async with running(server=settings) as server:
        at[1].unlink()
        assert await recorded(server, Tls(old.ca, server_name="feedback"))
        assert "event=certificate_not_read" in server.lines.text


async def test_a_pair_that_is_half_replaced_serves_again_once_it_is_whole(
    tmp_path: Path, old: Authority, new: Authority
) -> None:
    at = (tmp_path / "tls.crt", tmp_path / "tls.key")
    put(old.issue("feedback"), at)
    settings = ServerSettings(grace_s=0.5, tls=TlsSettings(cert_file=at[0], key_file=at[1]))
    pair = new.issue("feedback")
    async with running(server=settings) as server:
        at[0].write_bytes(pair[0].read_bytes())
        assert await recorded(server, Tls(old.ca, server_name="feedback"))
        put(pair, at)
        assert await recorded(server, Tls(new.ca, server_name="feedback"))


async def test_with_mtls_the_name_on_the_certificate_is_the_principal(tmp_path: Path, old: Authority) -> None:
    cert, key = old.issue("feedback")
    principals = tmp_path / "principals.yaml"
    principals.write_text("- {principal: the-gateway, peer: gateway.rejoinder.svc, roles: [app]}\n")
    log = MemoryLog(SystemClock(), partitions=1)
    settings = ServerSettings(
        grace_s=0.5,
        tls=TlsSettings(cert_file=cert, key_file=key, client_ca_file=old.ca),
        auth=AuthSettings(file=principals),
    )
    async with running(log, settings) as server:
        known, stranger = old.issue("gateway.rejoinder.svc"), old.issue("stranger")
        assert await recorded(server, Tls(old.ca, *known, server_name="feedback"))
        with pytest.raises(Unauthenticated):
            await recorded(server, Tls(old.ca, *stranger, server_name="feedback"))
        with pytest.raises(RejoinderError):
            await recorded(server, Tls(old.ca, server_name="feedback"))
    assert [event_of(r).principal for r in log.read("feedback", 0, 0)] == ["the-gateway"]


async def test_a_client_shows_the_certificate_that_its_files_hold_now(
    tmp_path: Path, old: Authority, new: Authority
) -> None:
    """A client that lives for months is not shut out when what it read at its start has ended."""
    cert, key = new.issue("feedback")
    at = (tmp_path / "client.crt", tmp_path / "client.key")
    put(old.issue("policy"), at)
    settings = ServerSettings(grace_s=0.5, tls=TlsSettings(cert_file=cert, key_file=key, client_ca_file=new.ca))
    event = Feedback(interaction_id="i", kind=FollowUp("no"))
    async with running(server=settings) as server:
        tls = Tls(new.ca, *at, server_name="feedback")
        async with AsyncFeedbackClient(Patient(server.target, tls=tls, tries=1, deadline_s=60)) as client:
            with pytest.raises(RejoinderError):
                await client.record_feedback([event])
            put(new.issue("policy"), at)
            assert (await client.record_feedback([event]))[0].recorded


async def test_a_client_keeps_what_it_has_while_its_files_are_half_replaced(
    tmp_path: Path, old: Authority, new: Authority
) -> None:
    cert, key = new.issue("feedback")
    roots, at = tmp_path / "ca.crt", (tmp_path / "client.crt", tmp_path / "client.key")
    put((new.ca, *new.issue("policy")), (roots, *at))
    settings = ServerSettings(grace_s=0.5, tls=TlsSettings(cert_file=cert, key_file=key, client_ca_file=new.ca))
    event = Feedback(interaction_id="i", kind=FollowUp("no"))
    async with running(server=settings) as server:
        tls = Tls(roots, *at, server_name="feedback")
        async with AsyncFeedbackClient(Patient(server.target, tls=tls, tries=1, deadline_s=60)) as client:
            assert (await client.record_feedback([event]))[0].recorded
            for file, half in ((at[0], new.issue("policy")[0].read_bytes()), (at[1], b"-----BEGIN"), (roots, b"")):
                before = file.read_bytes()
                file.write_bytes(half)
                assert (await client.record_feedback([event]))[0].recorded, file.name
                file.write_bytes(before)


@pytest.mark.parametrize("lacking", ["client.crt", "client.key", "ca.crt"])
def test_a_client_without_its_files_does_not_begin(tmp_path: Path, old: Authority, lacking: str) -> None:
    files = {name: tmp_path / name for name in ("ca.crt", "client.crt", "client.key")}
    put((old.ca, *old.issue("policy")), tuple(files.values()))
    files[lacking].unlink()
    with pytest.raises(FileNotFoundError):
        Tls(*files.values()).credentials()
