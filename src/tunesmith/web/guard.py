"""Who may speak to the studio: requests of its own page, with the token where one is asked for."""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.errors import UserError
from tunesmith.web.language import said

COOKIE = "tunesmith_token"
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_A_YEAR = 365 * 24 * 3600
_SAFE_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
]


@dataclass(frozen=True, slots=True)
class Door:
    """token: None lets everyone in who reaches the port. hosts: names that a browser may know the studio by; empty
    means every IP address and the names of this machine, as where it listens on all interfaces."""

    token: str | None
    hosts: frozenset[str] = _LOCAL_NAMES
    addresses: bool = False
    """Whether the page may be opened under any IP address."""


def is_local(host: str) -> bool:
    """Whether only programs on this machine reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def make_token(path: Path) -> str:
    """The workspace's token, made once and kept in a file that only its owner reads, so that a restarted studio knows
    the pages that are open."""
    try:
        token = path.read_text(encoding="utf-8").strip()
        if len(token) >= 16:
            return token
    except FileNotFoundError:
        pass
    token = secrets.token_urlsafe(24)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(token, encoding="utf-8")
    return token


def check_token(token: str) -> str:
    """A token that somebody chose; UserError where it could be guessed."""
    if len(token) < 8:
        raise UserError("A token needs 8 characters or more.", hint="Leave --token out: one is made.")
    return token


class Guard:
    """ASGI middleware: Host and Origin checked against DNS rebinding and foreign pages, then the token."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._known(host):
            await _refuse(send, 403, f"The studio does not know the host {host!r}.", _HOST_HINT)
            return
        if not _of_this_page(headers, scope["method"]):
            await _refuse(send, 403, "The request comes from another page.", "Open the studio's own address.")
            return
        if self._door.token is None:
            await self._app(scope, receive, _with_headers(send))
            return
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        brought = dict(query).get("token")
        if brought is not None and self._is_token(brought) and scope["method"] == "GET":
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            await _enter(send, scope["path"] + (f"?{rest}" if rest else ""), _cookie_name(headers), brought)
            return
        authorization = headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(_cookie(headers)) or self._is_token(authorization):
            await self._app(scope, receive, _with_headers(send))
            return
        await _refuse(send, 401, "This studio asks for its token.", "Open the address that `tunesmith webui` printed.")

    def _known(self, host: str) -> bool:
        name = _name(host)
        if name in self._door.hosts:
            return True
        return self._door.addresses and _is_address(name)

    def _is_token(self, given: str) -> bool:
        return self._door.token is not None and hmac.compare_digest(
            given.encode("utf-8", "replace"), self._door.token.encode("utf-8")
        )


_HOST_HINT = "Open it as localhost or 127.0.0.1, or start it with --allow-host NAME."


def _name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _of_this_page(headers: dict[str, str], method: str) -> bool:
    """Whether a browser sent this from our own page. Programs send neither Origin nor Sec-Fetch-Site."""
    if method in _READING:
        return headers.get("sec-fetch-site") != "cross-site" or headers.get("sec-fetch-mode") == "navigate"
    origin = headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
        except ValueError:
            return False
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _cookie_name(headers: dict[str, str]) -> str:
    """A browser keeps cookies by host alone: two studios on one host need two names."""
    try:
        port = urlsplit(f"//{headers.get('host', '')}").port
    except ValueError:
        port = None
    return f"{COOKIE}_{port}" if port else COOKIE


def _cookie(headers: dict[str, str]) -> str:
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except Exception:  # http.cookies raises its own error for what a stranger wrote
        return ""
    name = _cookie_name(headers)
    return cookies[name].value if name in cookies else ""


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_SAFE_HEADERS]}
        await send(message)

    return sent


async def _enter(send: Send, address: str, name: str, token: str) -> None:
    """To the same address without the token, which the browser keeps from now on."""
    cookie = f"{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={_A_YEAR}"
    # Two slashes at the beginning would name another host.
    where = "/" + quote(address.lstrip("/\\"), safe="/?&=%+-._~")
    headers = [(b"location", where.encode("ascii")), (b"set-cookie", cookie.encode("latin-1"))]
    await send({"type": "http.response.start", "status": 303, "headers": [*headers, *_SAFE_HEADERS]})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, status: int, message: str, hint: str) -> None:
    body = json.dumps({"message": said(message), "hint": said(hint), "field": None}).encode("utf-8")
    headers: Sequence[tuple[bytes, bytes]] = [(b"content-type", b"application/json"), *_SAFE_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
