"""What every request passes: the API key, the size limit, and the count for `/metrics`."""

from __future__ import annotations

import hmac
from collections import Counter
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ar_omni.serving.errors import refusal

OPEN = ("/healthz",)
"""Paths that need no key."""
DRAINED = 4
"""How many times its limit of a request is read, to be forgotten, before the connection is closed on it."""


class Gate:
    """An ASGI middleware.

    Args:
        app: what is behind it.
        api_key: what clients must send as a bearer token; None lets everyone in.
        body_bytes: most bytes of a request.
        responses: counts (path of the route, status).
    """

    def __init__(
        self, app: ASGIApp, api_key: str | None, body_bytes: int, responses: Counter[tuple[str, int]]
    ):
        self.app, self.api_key, self.body_bytes, self.responses = app, api_key, body_bytes, responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if scope["type"] == "websocket":
            if refused:
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self.app(scope, receive, send)
            return
        counted = self._counted(scope, send)
        if refused:
            await self._drain(receive)
            await refused(scope, receive, counted)
        else:
            await self.app(scope, self._bounded(receive), counted)

    def _refusal(self, scope: Scope) -> Any:
        """A response to what may not pass."""
        headers = Headers(scope=scope)
        sent = headers.get("authorization", "").removeprefix("Bearer ").strip()
        known = self.api_key is None or hmac.compare_digest(sent.encode(), self.api_key.encode())
        if not known and scope["path"] not in OPEN:
            return refusal("expected a valid API key", 401, {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.body_bytes:
            return refusal(self._too_large(), 413, {"Connection": "close"})
        return None

    def _too_large(self) -> str:
        return f"expected a request of at most {self.body_bytes >> 20} MB; send less"

    def _bounded(self, receive: Receive) -> Receive:
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.body_bytes:
                if message.get("more_body"):
                    await self._drain(receive)
                raise HTTPException(413, self._too_large())
            return message

        return bounded

    async def _drain(self, receive: Receive) -> None:
        """Read the rest and forget it, within reason: a client that still sends would not read its answer."""
        left = DRAINED * self.body_bytes
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b"")) or 1
            if not message.get("more_body"):
                return

    def _counted(self, scope: Scope, send: Send) -> Send:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                self.responses[route, message["status"]] += 1
            await send(message)

        return counted
