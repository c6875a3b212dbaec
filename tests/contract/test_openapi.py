"""Every operation of the web side, against its own OpenAPI document, by generated requests good and bad."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hub.bus.records import Output
from hub.delivery.answers import AnswerDesk
from hub.domain.quota import Quota
from hub.settings import load
from hub.state.quotas import MemoryQuotas
from hub.web.app import create_app, health_router
from hub.web.asyncapi import asyncapi_router
from hub.web.feedback import feedback_router
from hub.web.quota import limit
from hub.wiring import asyncapi_document
from tests import support_http_intake, support_pages
from tests.integration.test_pull import KEY, NAME, TOKEN, Desk, Idle, router_of
from tests.support_contracts import catalog
from tests.support_routing import hub_map


class Nobody:
    def get(self, notice_id: str) -> None:
        return None


def publish(outputs: Sequence[Output]) -> None:
    raise AssertionError("no generated answer fits a notice that is not there")


SEASON = support_pages.season()
#: Ids that are there: by chance nobody would find one.
_KNOWN = {
    "notice_id": SEASON.notice("r1", support_pages.PROCUREMENT)["notice_id"], "clock_id": "c1",
    "event_id": SEASON.notice("r1", support_pages.PROCUREMENT)["event_id"],
}
_TOKENS = {"events": support_http_intake.KEY, "reading": "hubt_procurement"}


def new_app() -> Any:
    desk = Desk()

    def keys(name: str) -> list[str]:
        return [KEY] if name == NAME else []

    app = create_app([
        ("", health_router(lambda: None)),
        ("", feedback_router(publish, AnswerDesk(catalog(), Nobody(), keys, lambda: datetime.now(UTC)))),
        ("", router_of(desk, {NAME: Idle()})),
        ("", support_http_intake.router_of(support_http_intake.MemoryDesk())),
        ("", support_http_intake.manifests_of(lambda taken: None)),
        ("", SEASON.router()),
        ("", asyncapi_router(lambda registry: asyncapi_document(load(), hub_map(), catalog(), registry))),
    ])
    # So low that some answers are refusals.
    limit(app, quotas=MemoryQuotas(), identify=lambda token: None, caller=None, address=Quota("address", 600))
    return app


schema = schemathesis.openapi.from_asgi("/openapi.json", new_app())
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_names(case: schemathesis.Case[Any]) -> None:
    if "name" in case.path_parameters:
        case.path_parameters["name"] = NAME
    for name, known in _KNOWN.items():
        if name in case.path_parameters and len(case.path_parameters[name]) % 2:
            case.path_parameters[name] = known
    (tag,) = case.operation.definition.raw["tags"]
    token = _TOKENS.get(tag, TOKEN)
    response = case.call(headers={"Authorization": f"Bearer {token}"})
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400 and case.path.startswith("/v1/"):
        assert response.headers["content-type"] == ["application/problem+json"]
        problem = response.json()
        assert problem["status"] == response.status_code and problem["title"] and problem["detail"]
