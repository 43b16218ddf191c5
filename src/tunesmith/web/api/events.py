"""What changes, as server-sent events, and the same for asking again and again where a proxy holds streams back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Header
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tunesmith.web.access import TheStudio, router_of
from tunesmith.web.events import Cursor, Stream
from tunesmith.web.studio import Studio

router = router_of("events")


class Event(BaseModel):
    type: Literal["runs", "run"]
    data: dict[str, Any]


class News(BaseModel):
    cursor: str
    events: list[Event]


@router.get("/events", response_class=StreamingResponse)
def events(
    studio: TheStudio,
    run: str = "",
    cursor: str = "",
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """`event: runs` `{complete, runs}` when the list changed (all of it, or the runs that changed), `event: run`
    `{id, metrics?, log?, reload_metrics?, reload_log?}` of the run that is followed. The id of an event is the cursor
    `digest.metrics-run.attempt.log` to go on from; Last-Event-ID wins over `cursor`.
    """
    start = Cursor.read(last_event_id or cursor) if last_event_id or cursor else Cursor()
    stream = _stream(studio, run)
    headers = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
    return StreamingResponse(stream.lines(start), media_type="text/event-stream", headers=headers)


@router.get("/poll")
def poll(studio: TheStudio, run: str = "", cursor: str = "") -> News:
    """The events since the cursor, at once."""
    found, now = _stream(studio, run).news(Cursor.read(cursor) if cursor else Cursor())
    return News(cursor=str(now), events=[Event(type=kind, data=data) for kind, data in found])  # type: ignore[arg-type]


def _stream(studio: Studio, run: str) -> Stream:
    return Stream(studio, studio.workspace.run(run) if run else None)
