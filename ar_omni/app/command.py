"""`ar-omni app`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ar_omni import __version__
from ar_omni.errors import InputError, import_extra
from ar_omni.serving.command import check_certificate

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ar_omni.app.visitors import Visitors

PORT = 7860
LOCAL = ("127.0.0.1", "localhost", "::1")


def main(args: Namespace) -> None:
    """Serve the page until interrupted."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    uvicorn = import_extra("uvicorn", "app")
    import_extra("gradio", "app")
    from ar_omni.app.models import Models
    from ar_omni.app.visitors import Visitors
    from ar_omni.serving.engine import Engine

    logins, folder = _logins(args.auth), Path(args.models)
    if not folder.is_dir():
        raise InputError(f"expected a folder of models, got {folder}, which is none")
    check_certificate(args.ssl_certfile, args.ssl_keyfile)
    models = Models(
        Path(args.model) if args.model else None,
        folder,
        args.max_models,
        lambda omni: Engine(omni, slots=args.slots, room=args.max_users),
    )
    models.get(models.default)
    app = create_app(Visitors(models, args.max_users), args.max_upload_mb << 20, logins)
    port, scheme = args.port or PORT, "https" if args.ssl_certfile else "http"
    print(f"ar-omni app at {scheme}://{args.host}:{port}", file=sys.stderr, flush=True)
    if args.host not in LOCAL and not args.ssl_certfile:
        print(
            "browsers give the microphone only to localhost and HTTPS: add --ssl-certfile and --ssl-keyfile",
            file=sys.stderr,
        )
    config = uvicorn.Config(
        app,
        host=args.host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=2,
        ssl_certfile=args.ssl_certfile,
        ssl_keyfile=args.ssl_keyfile,
    )
    uvicorn.Server(config).run()


def create_app(
    visitors: Visitors, upload_bytes: int = 32 * 2**20, logins: Sequence[tuple[str, str]] | None = None
) -> FastAPI:
    """The page and its routes.

    Args:
        visitors: who may talk with which models.
        upload_bytes: most bytes of a request.
        logins: pairs of name and password; None lets everyone in.
    """
    import gradio as gr
    from anyio.to_thread import current_default_thread_limiter
    from fastapi import FastAPI

    from ar_omni.app.page import build_page, css, theme
    from ar_omni.app.routes import add_routes
    from ar_omni.serving.gate import Gate

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # a person may hold two threads, one for events and one for samples, which mostly wait
        current_default_thread_limiter().total_tokens += 2 * visitors.most
        yield
        visitors.models.close()

    app = FastAPI(title="ar-omni app", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Gate, api_key=None, body_bytes=upload_bytes, responses=Counter())
    add_routes(app, visitors)
    page = build_page(visitors)
    page.queue(default_concurrency_limit=None)
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth=list(logins) if logins else None,
        max_file_size=upload_bytes,
        footer_links=[],
        run_history=False,
        theme=theme(),
        css=css(),
    )


def _logins(given: Sequence[str]) -> list[tuple[str, str]] | None:
    pairs = [tuple(login.split(":", 1)) for login in given]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise InputError("expected --auth NAME:PASSWORD")
    return pairs or None
