"""The web application of a studio: its page, and what the page asks for."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from vidream.core.errors import InputError
from vidream.core.own_presets import remove_preset
from vidream.core.presets import DEFAULT, keep_preset, preset_text
from vidream.core.reporting import CancelToken
from vidream.core.settings import Settings
from vidream.studio.answers import Refused, answer, as_json, body_of, number, picture
from vidream.studio.device import Device, Urgency
from vidream.studio.events import Events
from vidream.studio.folder import OWN, Folder, too_large
from vidream.studio.guard import Access, Guard
from vidream.studio.live import LiveRoom
from vidream.studio.looks import Looks, Moment
from vidream.studio.renders import RenderQueue
from vidream.studio.requests import asked_settings, describe_presets, describe_settings

Recipe = Callable[[str, str, Settings], str]
"""Returns the command line of a source, a target and settings."""

Result = TypeVar("Result")

_MOST_SIDE = 1280  # of a frame that is shown, in pixels


@dataclass(frozen=True, slots=True)
class StudioSettings:
    """What a studio is started with."""

    folder: Path
    access: Access
    max_upload: int = 2**30  # bytes
    cluster: str | None = None  # place of a cluster that renders


class Studio:
    """Answers the requests of a page.

    Args:
        settings: what it is started with.
        recipe: for the command that makes the same.
    """

    def __init__(self, settings: StudioSettings, recipe: Recipe) -> None:
        self._settings, self._recipe = settings, recipe
        self.folder = Folder(settings.folder)
        self.device, self.looks, self.events = Device(), Looks(), Events(self._state)
        self.renders = RenderQueue(self.folder, self.device, self.events.changed, settings.cluster)
        self.live = LiveRoom(self.folder, self.device)
        self._draft: dict[str, Any] = {}
        self._moving: CancelToken = CancelToken()

    def app(self) -> ASGIApp:
        """Return the application."""
        page = files("vidream.studio") / "page"
        api = [
            Route("/schema", as_json(self.schema)),
            Route("/clips", as_json(self.clips)),
            Route("/clips", as_json(self.upload), methods=["PUT"]),
            Route("/clip", as_json(self.clip)),
            Route("/frame", answer(self.frame)),
            Route("/dream", answer(self.dream), methods=["POST"]),
            Route("/thumbnail", answer(self.thumbnail)),
            Route("/moving", as_json(self.moving), methods=["POST"]),
            Route("/moving/{name}", answer(self.moving_file)),
            Route("/recipe", as_json(self.recipe), methods=["POST"]),
            Route("/presets", as_json(self.save_preset), methods=["POST"]),
            Route("/presets/{name}", as_json(self.remove_preset), methods=["DELETE"]),
            Route("/draft", as_json(self.draft), methods=["PUT"]),
            Route("/renders", as_json(self.add_render), methods=["POST"]),
            Route("/renders/{id}", as_json(self.forget), methods=["DELETE"]),
            Route("/renders/{id}/stop", as_json(self.stop), methods=["POST"]),
            Route("/renders/{id}/resume", as_json(self.resume), methods=["POST"]),
            Route("/renders/{id}/frame", answer(self.newest)),
            Route("/renders/{id}/file", answer(self.rendered)),
            Route("/events", answer(self.follow)),
            WebSocketRoute("/live", self.live_socket),
        ]
        routes = [
            Mount("/api", routes=api),
            Mount("/", StaticFiles(directory=str(page), html=True)),
        ]
        return Guard(Starlette(routes=routes, lifespan=self._lifespan), self._settings.access)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.events.begin()
        self.renders.go_on()
        try:
            yield
        finally:
            self.events.end()
            self._moving.cancel()
            self.renders.close()
            await run_in_threadpool(self.device.close)

    def _state(self) -> dict[str, Any]:
        renders = [render.shown for render in self.renders.renders]
        return {"renders": renders, "draft": self._draft, "live": self.device.held}

    # --- clips

    async def schema(self, _: Request) -> Any:
        """Return presets and settings."""
        presets = await run_in_threadpool(describe_presets)
        return {"presets": presets, "settings": describe_settings(), "default": DEFAULT}

    async def clips(self, _: Request) -> Any:
        """Return the names of clips."""
        found = await run_in_threadpool(self.folder.clips)
        return {"folder": self.folder.root.name, "clips": found}

    async def upload(self, request: Request) -> Any:
        """Take in a clip."""
        most, length = self._settings.max_upload, request.headers.get("content-length", "")
        if length.isdigit() and int(length) > most:
            raise Refused(413, too_large(most))
        name = request.query_params.get("name", "")
        made = await self.folder.upload(name, request.stream(), most)
        await run_in_threadpool(self.folder.check, made)
        return {"name": made}

    async def clip(self, request: Request) -> Any:
        """Describe a clip."""
        return await run_in_threadpool(self.looks.describe, self._moment(request).path)

    async def frame(self, request: Request) -> Response:
        """Show a frame as it is."""
        side = min(_MOST_SIDE, max(16, int(number(request.query_params.get("side"), 640))))
        return picture(await run_in_threadpool(self.looks.frame, self._moment(request), side))

    # --- looks

    async def dream(self, request: Request) -> Response:
        """Dream a frame; a later request of the same page replaces one that waits."""
        body = await body_of(request)
        moment, settings = self._asked(body), asked_settings(body, self.folder)
        side = int(number(body.get("side"), 0)) or None
        work = partial(self.looks.dream, moment, settings, side and min(_MOST_SIDE, max(32, side)))
        data, used = await self._do(work, Urgency.LOOK, f"dream {body.get('page')}")
        return picture(data, {"x-side": str(used)})

    async def thumbnail(self, request: Request) -> Response:
        """Dream a small frame with a preset."""
        moment, preset = self._moment(request), request.query_params.get("preset", "")
        data = await run_in_threadpool(self.looks.known_thumbnail, moment, preset)
        if data is None:
            work = partial(self.looks.thumbnail, moment, preset)
            page = request.query_params.get("page", "")
            data = await self._do(work, Urgency.THUMBNAIL, f"thumbnail {page} {preset}")
        return picture(data)

    async def moving(self, request: Request) -> Any:
        """Render two seconds."""
        body = await body_of(request)
        moment, settings = self._asked(body), asked_settings(body, self.folder)
        words = repr((moment.key, settings)).encode()
        name = f"moving-{hashlib.sha256(words).hexdigest()[:16]}.mp4"
        path = self.folder.own() / name
        if not path.exists():
            self._moving.cancel()
            self._moving = cancel = CancelToken()
            work = partial(self.looks.moving, moment, settings, path, cancel)
            await self._do(work, Urgency.LOOK, "moving")
            self._keep_newest(path)
        return {"url": f"api/moving/{name}"}

    async def moving_file(self, request: Request) -> Response:
        """Send two seconds that were rendered."""
        name = Path(request.path_params["name"]).name
        path = self.folder.root / OWN / name
        if not name.startswith("moving-") or path.suffix != ".mp4" or not path.is_file():
            raise Refused(404, "that preview is gone")
        return FileResponse(path, media_type="video/mp4")

    def _keep_newest(self, path: Path, most: int = 8) -> None:
        made = sorted(path.parent.glob("moving-*.mp4"), key=lambda p: p.stat().st_mtime)
        for old in made[:-most]:
            old.unlink(missing_ok=True)

    async def recipe(self, request: Request) -> Any:
        """Return the command line and the TOML that make the same."""
        body = await body_of(request)
        settings = asked_settings(body, self.folder)
        clip, target = str(body.get("clip") or "clip.mp4"), str(body.get("target") or "dream.mp4")
        toml = preset_text(settings, _preset(body))
        return {"command": self._recipe(clip, target, settings), "toml": toml}

    async def save_preset(self, request: Request) -> Any:
        """Keep settings as a preset of one's own."""
        body = await body_of(request)
        text = preset_text(asked_settings(body, self.folder), _preset(body))
        name, overwrite = str(body.get("name") or ""), body.get("overwrite") is True
        await run_in_threadpool(partial(keep_preset, name, text, overwrite=overwrite))
        return {"name": name}

    async def remove_preset(self, request: Request) -> Any:
        """Remove a preset of one's own."""
        await run_in_threadpool(remove_preset, request.path_params["name"])
        return {}

    # --- what all pages show

    async def draft(self, request: Request) -> Any:
        """Take what a page is at: its clip, time and settings, for the others."""
        body = await body_of(request)
        known = ("clip", "time", "preset", "values", "page")
        self._draft = {name: body[name] for name in known if name in body}
        self.events.changed()
        return {}

    async def follow(self, _: Request) -> Response:
        """Send the state of the studio whenever it changes."""
        return StreamingResponse(self.events.follow(), media_type="text/event-stream")

    # --- renders

    async def add_render(self, request: Request) -> Any:
        """Queue a render."""
        body = await body_of(request)
        clip = self.folder.name_of(self._asked(body).path)
        settings = asked_settings(body, self.folder)
        target = str(body.get("target") or f"{Path(clip).with_suffix('')}.dream.mp4")
        add = partial(self.renders.add, clip, target, _preset(body), settings)
        return (await run_in_threadpool(add)).shown

    async def stop(self, request: Request) -> Any:
        """Stop a render."""
        await run_in_threadpool(self.renders.stop, request.path_params["id"])
        return {}

    async def resume(self, request: Request) -> Any:
        """Go on with a render."""
        await run_in_threadpool(self.renders.resume, request.path_params["id"])
        return {}

    async def forget(self, request: Request) -> Any:
        """Leave a render out of the list."""
        await run_in_threadpool(self.renders.forget, request.path_params["id"])
        return {}

    async def newest(self, request: Request) -> Response:
        """Send the newest dreamed frame of a render."""
        data = await run_in_threadpool(self.renders.newest, request.path_params["id"])
        if data is None:
            raise Refused(404, "no frame yet")
        return picture(data)

    async def rendered(self, request: Request) -> Response:
        """Send what a render made."""
        path = self.folder.inside(self.renders.find(request.path_params["id"]).target)
        if not path.is_file():
            raise Refused(404, f"{path.name} is not there")
        keep = "download" in request.query_params
        return FileResponse(
            path,
            filename=path.name,
            content_disposition_type="attachment" if keep else "inline",
        )

    async def live_socket(self, socket: WebSocket) -> None:
        """Dream the pictures of a camera."""
        self.events.changed()
        try:
            await self.live.serve(socket)
        finally:
            self.events.changed()

    # --- in common

    def _moment(self, request: Request) -> Moment:
        return self._asked(request.query_params)

    def _asked(self, values: Any) -> Moment:
        path = self.folder.inside(str(values.get("clip") or ""))
        if not path.is_file():
            raise InputError(f"{path.name} is not there any more")
        return Moment(path, max(0.0, number(values.get("time"), 0.0)))

    async def _do(self, work: Callable[[], Result], urgency: Urgency, series: str) -> Result:
        future = self.device.submit(work, urgency, instead_of=series)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.cancelled():
                raise Refused(409, "a later one is being made") from None
            raise


def _preset(body: dict[str, Any]) -> str:
    return str(body.get("preset") or DEFAULT)
