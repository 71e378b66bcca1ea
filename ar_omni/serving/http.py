"""The HTTP server: OpenAI's routes where there is a standard, and a WebSocket for conversations."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Annotated, Any

from anyio import to_thread
from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse

from ar_omni import __version__
from ar_omni.errors import InputError
from ar_omni.media import Audio, load_audio
from ar_omni.serving import replies
from ar_omni.serving.errors import add_handlers
from ar_omni.serving.gate import Gate
from ar_omni.serving.metrics import metrics
from ar_omni.serving.requests import Body, ChatBody, ImageBody, SpeechBody, to_messages
from ar_omni.serving.service import Service, collected
from ar_omni.serving.session import Session
from ar_omni.serving.sound import find_format

SSE = "text/event-stream"


def create_app(service: Service) -> FastAPI:
    """The application around one model."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(service.engine.close, service.limits.grace_s)

    app = FastAPI(title="ar-omni", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service, app.state.started, app.state.sessions = service, int(time.time()), 0
    app.state.responses = Counter()
    app.add_middleware(
        Gate,
        api_key=service.api_key,
        body_bytes=service.limits.body_bytes,
        responses=app.state.responses,
    )
    add_handlers(app)
    for method, path, endpoint in _ROUTES:
        app.add_api_route(path, endpoint, methods=[method], response_model=None)
    app.add_api_websocket_route("/v1/conversation", conversation)
    return app


def _service(http: Request | WebSocket, body: Body | None = None) -> Service:
    service = http.app.state.service
    if body and body.model and body.model != service.name:
        raise HTTPException(404, f"expected the model {service.name!r}, got {body.model!r}")
    return service


async def chat_completions(http: Request, body: ChatBody) -> Any:
    service = _service(http, body)
    form = find_format(body.audio.format if body.audio else "wav")
    events = await service.events(lambda: to_messages(body.messages), body.chat())
    if not body.stream:
        return replies.completion(await collected(http, events), service.name, form)
    wanted = bool(body.stream_options and body.stream_options.include_usage)
    lines = replies.chat_lines(events, replies.Chunks(service.name, form, wanted))
    return StreamingResponse(lines, media_type=SSE)


async def audio_speech(http: Request, body: SpeechBody) -> Any:
    service = _service(http, body)
    form = find_format(body.response_format)
    content = [{"role": "user", "content": [{"type": "text", "text": body.input}]}]
    events = await service.events(lambda: content, body.request(["speech"], "speak"))
    return StreamingResponse(replies.sound(events, form), media_type=form.media_type)


async def audio_transcriptions(
    http: Request,
    file: Annotated[UploadFile, File()],
    model: Annotated[str, Form()] = "",
    response_format: Annotated[str, Form()] = "json",
    stream: Annotated[bool, Form()] = False,
) -> Any:
    service = _service(http, Body(model=model))
    if response_format not in ("json", "text"):
        raise InputError(f"expected a response_format of json, text, got {response_format!r}")
    data = BytesIO(await file.read())

    def messages() -> list[dict[str, Any]]:
        part = {"type": "audio", "audio": load_audio(Audio.load(data))}
        return [{"role": "user", "content": [part]}]

    events = await service.events(messages, Body().request(None, "transcribe"))
    if stream:
        return StreamingResponse(replies.transcript_lines(events), media_type=SSE)
    reply = await collected(http, events)
    text = reply.transcript if reply.transcript is not None else reply.text or ""
    return PlainTextResponse(text) if response_format == "text" else {"text": text}


async def images_generations(http: Request, body: ImageBody) -> Any:
    """All pictures of a request are decoded at once; picture i has seed + i."""
    service = _service(http, body)
    side = service.omni.processor.image_tokenizer.image_size
    if body.size not in (None, "auto", f"{side}x{side}"):
        raise InputError(f"expected a size of auto or {side}x{side}, which this model draws, got {body.size}")
    prompt = f"{body.prompt} in {body.style} style" if body.style else body.prompt
    content = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]

    async def draw(index: int) -> dict[str, Any]:
        seed = None if body.seed is None else body.seed + index
        request = body.model_copy(update={"seed": seed}).request(["image"], "draw")
        reply = await collected(http, await service.events(lambda: content, request))
        form = body.output_format or "png"
        if body.response_format == "url":
            return {"url": replies.data_url(reply.image, form)}
        return {"b64_json": replies.base64_of(replies.picture_bytes(reply.image, form))}

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(draw(index)) for index in range(body.n or 1)]
    except ExceptionGroup as failed:  # of several reasons one is enough
        raise failed.exceptions[0] from None
    return {"created": int(time.time()), "data": [task.result() for task in tasks]}


async def models(http: Request) -> Any:
    return {"object": "list", "data": [_model(http)]}


async def model(http: Request, name: str) -> Any:
    _service(http, Body(model=name))
    return _model(http)


def _model(http: Request) -> dict[str, Any]:
    started = http.app.state.started
    return {"id": _service(http).name, "object": "model", "created": started, "owned_by": "ar-omni"}


async def healthz(http: Request) -> Any:
    running, waiting = _service(http).engine.load
    return {"status": "ok", "running": running, "waiting": waiting}


async def metrics_page(http: Request) -> Any:
    return PlainTextResponse(metrics(http.app), media_type="text/plain; version=0.0.4")


async def conversation(websocket: WebSocket) -> None:
    """A conversation with barge-in; `Session` says what goes over it."""
    state = websocket.app.state
    if state.sessions >= state.service.limits.sessions:
        await websocket.close(1013, "too many conversations; try again later")
        return
    state.sessions += 1
    try:
        await Session(websocket, state.service).serve()
    finally:
        state.sessions -= 1


_ROUTES = (
    ("POST", "/v1/chat/completions", chat_completions),
    ("POST", "/v1/audio/speech", audio_speech),
    ("POST", "/v1/audio/transcriptions", audio_transcriptions),
    ("POST", "/v1/images/generations", images_generations),
    ("GET", "/v1/models", models),
    ("GET", "/v1/models/{name:path}", model),
    ("GET", "/healthz", healthz),
    ("GET", "/metrics", metrics_page),
)
