"""The sink of the collaboration platform: one request for one record or for many, an answer for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote

from connectors.collaboration_platform.settings import PlatformSettings
from connectors.collaboration_platform.wire import read_answer, read_answers, read_page, to_record
from hub.disclosure import (
    Answer,
    AttemptFailedError,
    BatchRefusedError,
    Capabilities,
    HttpClient,
    Order,
    PublicRecord,
    Result,
    Sink,
    SinkContext,
    TryAgain,
    to_json,
)

#: Records of one page of what is public: about 25 KB, and no more than 64 KB of an answer are read.
PAGE = 100


class CollaborationPlatform(Sink):
    """Orders by HTTP.

    ``PUT {url}/api/v1/records/{correlation_id}`` with an ``Idempotency-Key`` carries out one order,
    ``POST {url}/api/v1/batches`` several, each known by its ``order_id``; ``GET {url}/api/v1/publications`` lists what
    is public. 401 and 403 are no refusals of a record but of us: the token is wrong for every record. They wait like
    an outage until somebody puts it right. A platform that does not know batches (404, 405) gets single requests. 4xx
    that are not the platform's own words refuse nothing: the address is wrong, or something stands before it.
    """

    Settings = PlatformSettings

    def __init__(self, context: SinkContext) -> None:
        self._settings: PlatformSettings = context.settings
        self._channel, self._url = context.channel, self._settings.url.rstrip("/")
        self._client = HttpClient(context.now, max_connections=self._settings.max_concurrent)
        self._knows_batches = True
        self.capabilities = Capabilities(
            max_batch=self._settings.max_batch, max_concurrent=self._settings.max_concurrent, lists_public=True
        )

    async def send(self, orders: Sequence[Order]) -> Sequence[Result]:
        if len(orders) == 1:
            return [await self._send_one(orders[0])]
        if not self._knows_batches:
            raise BatchRefusedError("the platform takes single records only")
        body = to_json({
            "records": [{"correlation_id": order.correlation_id, **to_record(order)} for order in orders]
        })
        answer = await self._ask("POST", "/api/v1/batches", body, orders[0].traceparent)
        if answer.status in (404, 405):
            self._knows_batches = False
        if not answer.is_success:
            raise BatchRefusedError(f"HTTP status {answer.status} for {len(orders)} records")
        results = read_answers(answer, {order.order_id: order.action for order in orders})
        missing = TryAgain("the answer to the batch does not name it")
        return [results.get(order.order_id, missing) for order in orders]

    async def _send_one(self, order: Order) -> Result:
        path = f"/api/v1/records/{quote(order.correlation_id, safe='')}"
        answer = await self._ask("PUT", path, to_json(to_record(order)), order.traceparent, order.order_id)
        try:
            return read_answer(answer, order.action)
        except AttemptFailedError:
            # Perhaps it was not the platform either that knew no batches.
            self._knows_batches = True
            raise

    async def public(self) -> AsyncIterator[PublicRecord]:
        after: str | None = ""
        while after is not None:
            path = f"/api/v1/publications?channel={quote(self._channel)}&limit={PAGE}&after={quote(after, safe='')}"
            answer = await self._ask("GET", path, b"", None)
            if not answer.is_success:
                raise AttemptFailedError(f"HTTP status {answer.status}: the platform does not list what is public")
            records, after = read_page(answer)
            for record in records:
                yield record

    async def close(self) -> None:
        await self._client.close()

    async def _ask(
        self, method: str, path: str, body: bytes, traceparent: str | None, idempotency_key: str | None = None
    ) -> Answer:
        headers = {"Content-Type": "application/json"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if (token := self._settings.secret("token")) is not None:
            headers["Authorization"] = f"Bearer {token}"
        if traceparent is not None:
            headers["traceparent"] = traceparent
        answer = await self._client.request(
            method, self._url + path, body=body, headers=headers, timeout_seconds=self._settings.timeout_seconds,
        )
        if answer.status in (401, 403):
            raise AttemptFailedError(f"HTTP status {answer.status}: the channel does not accept our token")
        return answer
