"""What went wrong, as clients read it: a status, and one json object."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from ar_omni.errors import AROmniError, InputError
from ar_omni.serving.engine import BusyError, SlowError

STATUS = {InputError: 400, BusyError: 429, SlowError: 504, AROmniError: 500}
"""The first class that fits."""
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


def status_of(error: AROmniError) -> int:
    return next(status for kind, status in STATUS.items() if isinstance(error, kind))


def body(message: str, status: int, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object."""
    kind = KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def error_body(error: AROmniError) -> dict[str, Any]:
    return body(" ".join(str(error).split()), status_of(error))


def refusal(message: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body(message, status), status, headers)


def add_handlers(app: FastAPI) -> None:
    """Every failure of a route becomes such an object."""

    @app.exception_handler(AROmniError)
    async def ours(request: Request, error: AROmniError) -> JSONResponse:
        wait = {"Retry-After": str(error.retry_after_s)} if isinstance(error, BusyError) else None
        return JSONResponse(error_body(error), status_of(error), wait)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(name) for name in first["loc"] if name != "body")
        return JSONResponse(body(f"{where or 'body'}: {first['msg']}", 400, where or None), 400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return refusal(str(error.detail), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return refusal("something went wrong in the server; its log has more", 500)
