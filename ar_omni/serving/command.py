"""`ar-omni serve`."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from ar_omni.commands import load_model
from ar_omni.errors import InputError, import_extra

PORT = 8000


def main(args: Namespace) -> None:
    """Serve until interrupted; then running replies have `--grace` seconds to end."""
    uvicorn = import_extra("uvicorn", "serve")
    import_extra("fastapi", "serve")
    from ar_omni.serving.http import create_app
    from ar_omni.serving.service import Limits, Service

    check_certificate(args.ssl_certfile, args.ssl_keyfile)
    limits = Limits(
        slots=args.slots,
        room=args.queue,
        sessions=args.sessions,
        body_bytes=args.max_body_mb << 20,
        reply_s=args.timeout,
        grace_s=args.grace,
    )
    key = args.api_key or os.environ.get("AR_OMNI_API_KEY")
    name = Path(args.model).absolute().name if args.model else "nano"
    service = Service(load_model(args), name, limits, key)
    config = uvicorn.Config(
        create_app(service),
        host=args.host,
        port=args.port or PORT,
        log_level="warning" if args.json else "info",
        timeout_graceful_shutdown=int(limits.grace_s),
        ws_max_size=limits.body_bytes,
        ssl_certfile=args.ssl_certfile,
        ssl_keyfile=args.ssl_keyfile,
    )
    uvicorn.Server(config).run()


def check_certificate(certfile: str | None, keyfile: str | None) -> None:
    """Before a model is loaded: both files of HTTPS, or none.

    Raises:
        InputError: one of them, or a file that is not there.
    """
    if bool(certfile) != bool(keyfile):
        raise InputError("expected --ssl-certfile and --ssl-keyfile together, got one of them")
    for file in (certfile, keyfile):
        if file and not Path(file).is_file():
            raise InputError(f"expected a file, got {file}, which is none")
