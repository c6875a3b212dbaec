"""The schemas through the Schema-Registry HTTP interface, read-only.

Kafka UIs and Confluent clients decode the hub's topics by it without knowing the hub. What the
interface lets one change is refused with 405: schemas change by a new ``.avsc`` file under review.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from fastavro.schema import SchemaParseException, UnknownType, to_parsing_canonical_form

from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.lock import definition_text
from hub.errors import ContractError
from hub.web.marks import open_to

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
#: Every version reads every other; ``hub schemas check`` holds it.
COMPATIBILITY = "FULL_TRANSITIVE"
_READ_ONLY = "this registry is read-only: schemas change by a new version file under schemas/"


class RegistryResponse(JSONResponse):
    """JSON under the media type of the interface."""

    media_type = MEDIA_TYPE


class _RegistryError(Exception):
    """An answer of the interface: ``code`` is the HTTP status followed by two digits."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    def response(self) -> RegistryResponse:
        status = self.code if self.code < 1000 else self.code // 100
        headers = {"Allow": "GET"} if status == 405 else None
        return RegistryResponse({"error_code": self.code, "message": str(self)}, status, headers)


class _RegistryRoute(APIRoute):
    """Turns the errors of a handler into the interface's bodies, so that the app needs no handler."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # FastAPI says Coroutine
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except _RegistryError as error:
                return error.response()

        return answer


class _Registry:
    """Look-ups behind the routes. ``subjects``: schema ids of each subject in version order, from 1."""

    def __init__(self, catalog: Catalog, subjects: Mapping[str, Sequence[int]]) -> None:
        self.catalog = catalog
        self.subjects = subjects

    def schema(self, text: str) -> Schema:
        try:
            return self.catalog.by_id(int(text))
        except (ValueError, ContractError):
            raise _RegistryError(40403, f"Schema {text} not found") from None

    def ids(self, subject: str) -> Sequence[int]:
        try:
            return self.subjects[subject]
        except KeyError:
            raise _RegistryError(40401, f"Subject '{subject}' not found.") from None

    def version(self, subject: str, text: str) -> tuple[int, Schema]:
        ids = self.ids(subject)
        try:
            number = len(ids) if text in ("latest", "-1") else int(text)
        except ValueError:
            number = 0
        if number < 1:
            raise _RegistryError(
                42202,
                f"The specified version '{text}' is not a valid version id. "
                'Allowed values are between [1, 2^31-1] and the string "latest"',
            )
        if number > len(ids):
            raise _RegistryError(40402, f"Version {number} not found.")
        return number, self.catalog.by_id(ids[number - 1])

    def usages(self, schema: Schema) -> list[tuple[str, int]]:
        """(subject, version) of each place where the schema is registered."""
        return [
            (subject, version)
            for subject, ids in sorted(self.subjects.items())
            for version, id in enumerate(ids, 1)
            if id == schema.id
        ]

    def find(self, subject: str, definition: Any) -> tuple[int, Schema]:
        """The version of ``subject`` that is ``definition``: word for word, else in what Avro reads."""
        candidates = [self.version(subject, str(number)) for number in range(1, len(self.ids(subject)) + 1)]
        for number, schema in candidates:
            if schema.definition == definition:
                return number, schema
        try:
            canonical = to_parsing_canonical_form(definition)
        except (SchemaParseException, UnknownType, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _RegistryError(42201, f"Input schema is an invalid Avro schema: {error}") from None
        for number, schema in candidates:
            if to_parsing_canonical_form(schema.definition) == canonical:
                return number, schema
        raise _RegistryError(40403, "Schema not found")


def registry_router(catalog: Catalog, subjects: Mapping[str, Sequence[int]]) -> APIRouter:
    """Routes of the interface, to be included under a prefix of their own.

    Under that prefix every other path is answered here too (404, and 405 for what would change).
    ``subjects`` gives for each subject its schema ids in version order. Raises ContractError if
    one of these ids is unknown.
    """
    for ids in subjects.values():
        for id in ids:
            catalog.by_id(id)
    registry = _Registry(catalog, subjects)
    router = APIRouter(
        route_class=_RegistryRoute, default_response_class=RegistryResponse, include_in_schema=False,
        dependencies=[open_to("everyone: schemas hold no data")],
    )
    _add_schema_routes(router, registry)
    _add_subject_routes(router, registry)
    _add_setting_routes(router, registry)

    @router.api_route("/{path:path}", methods=["POST", "PUT", "DELETE", "PATCH"])
    async def refuse(path: str) -> None:
        raise _RegistryError(405, f"HTTP 405 Method Not Allowed: {_READ_ONLY}")

    @router.get("/{path:path}")
    async def miss(path: str) -> None:
        raise _RegistryError(404, "HTTP 404 Not Found")

    return router


def _add_schema_routes(router: APIRouter, registry: _Registry) -> None:
    @router.get("/schemas/types")
    async def types() -> list[str]:
        return ["AVRO"]

    @router.get("/schemas/ids/{id}")
    async def by_id(id: str, fetchMaxId: bool = False) -> dict[str, Any]:
        answer: dict[str, Any] = {"schema": definition_text(registry.schema(id).definition)}
        if fetchMaxId:
            answer["maxId"] = max(schema.id for schema in registry.catalog.schemas)
        return answer

    @router.get("/schemas/ids/{id}/schema")
    async def text(id: str) -> Response:
        return Response(definition_text(registry.schema(id).definition), media_type=MEDIA_TYPE)

    @router.get("/schemas/ids/{id}/versions")
    async def versions(id: str, subject: str | None = None) -> list[dict[str, Any]]:
        usages = registry.usages(registry.schema(id))
        return [{"subject": name, "version": v} for name, v in usages if subject in (None, "", name)]

    @router.get("/schemas/ids/{id}/subjects")
    async def subjects(id: str, subject: str | None = None) -> list[str]:
        names = sorted({name for name, _ in registry.usages(registry.schema(id))})
        return [name for name in names if subject in (None, "", name)]


def _add_subject_routes(router: APIRouter, registry: _Registry) -> None:
    @router.get("/subjects")
    async def subjects(subjectPrefix: str = "") -> list[str]:
        # ":*:" asks for all contexts; there is one.
        prefix = subjectPrefix.removeprefix(":*:")
        return [subject for subject in sorted(registry.subjects) if subject.startswith(prefix)]

    @router.get("/subjects/{subject}/versions")
    async def versions(subject: str) -> list[int]:
        return list(range(1, len(registry.ids(subject)) + 1))

    @router.get("/subjects/{subject}/versions/{version}")
    async def version(subject: str, version: str) -> dict[str, Any]:
        return _describe(subject, *registry.version(subject, version))

    @router.get("/subjects/{subject}/versions/{version}/schema")
    async def text(subject: str, version: str) -> Response:
        _, schema = registry.version(subject, version)
        return Response(definition_text(schema.definition), media_type=MEDIA_TYPE)

    @router.post("/subjects/{subject}")
    async def look_up(subject: str, request: Request) -> dict[str, Any]:
        registry.ids(subject)
        try:
            body = json.loads(await request.body())
            definition = json.loads(body["schema"])
        except (ValueError, KeyError, TypeError) as error:
            raise _RegistryError(42201, f"Input schema is an invalid Avro schema: {error}") from None
        if body.get("schemaType", "AVRO") != "AVRO":
            raise _RegistryError(42201, f"Schema type {body['schemaType']} is not served here, only AVRO")
        return _describe(subject, *registry.find(subject, definition))


def _add_setting_routes(router: APIRouter, registry: _Registry) -> None:
    @router.get("/config")
    async def config() -> dict[str, str]:
        return {"compatibilityLevel": COMPATIBILITY}

    @router.get("/config/{subject}")
    async def subject_config(subject: str) -> dict[str, str]:
        registry.ids(subject)
        return {"compatibilityLevel": COMPATIBILITY}

    @router.get("/mode")
    async def mode() -> dict[str, str]:
        return {"mode": "READONLY"}

    @router.get("/mode/{subject}")
    async def subject_mode(subject: str) -> dict[str, str]:
        registry.ids(subject)
        return {"mode": "READONLY"}


def _describe(subject: str, version: int, schema: Schema) -> dict[str, Any]:
    text = definition_text(schema.definition)
    return {"subject": subject, "version": version, "id": schema.id, "schemaType": "AVRO", "schema": text}
