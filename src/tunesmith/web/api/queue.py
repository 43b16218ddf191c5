"""What waits to be run: its order, and tokens that it lost."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from tunesmith.errors import UserError
from tunesmith.web.access import TheStudio, router_of
from tunesmith.web.summaries import Summary
from tunesmith.web.workspace import Clash

router = router_of("queue")


class Order(BaseModel):
    """seen: the order that the person changed; it is refused where the queue has another by now."""

    ids: Annotated[list[str], Field(max_length=10_000)]
    seen: Annotated[list[str], Field(max_length=10_000)] | None = None


class Tokens(BaseModel):
    """tokens: by the names that the run is `missing`; handed to its process in its environment, never kept."""

    tokens: dict[str, Annotated[str, Field(max_length=1000)]] = {}


@router.post("/queue/order")
def order_queue(order: Order, studio: TheStudio) -> Order:
    """The waiting runs in a new order; the answer is the whole queue."""
    ordered = studio.queue.order(order.ids, seen=order.seen)
    if ordered is None:
        raise Clash(
            "The queue was changed meanwhile, perhaps in another tab.", hint="Look at its order, and move again."
        )
    studio.changed()
    return Order(ids=ordered)


@router.post("/runs/{run:path}/tokens", status_code=202)
def give_tokens(run: str, asked: Tokens, studio: TheStudio) -> Summary:
    """Give a waiting run the tokens that went with an earlier server; it starts without those that are left out."""
    run = studio.workspace.relative(studio.workspace.run(run).path)
    place = studio.queue.place(run)
    missing = place.missing if place is not None else ()
    if unknown := [name for name in asked.tokens if name not in missing]:
        raise UserError(f"{run} waits for no {unknown[0]}.", field="tokens")
    if not studio.queue.give(run, asked.tokens):
        raise Clash(f"{run} does not wait in the queue.")
    studio.changed()
    return studio.summary(run)
