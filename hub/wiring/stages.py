"""The stages by name. A process runs one of them and loads what that one needs: of the rest nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.errors import UsageError
from hub.settings import Settings
from hub.wiring.parts import Service, open_catalog, open_map

Builder = Callable[[Settings, HubMap, Catalog], Service]


def build_service(settings: Settings, stage: str) -> Service:
    """One stage as a service. Raises UsageError for an unknown name, ContractError for a faulty set-up."""
    if stage not in _BUILDERS:
        raise UsageError(f"There is no stage {stage!r}; the stages are {', '.join(STAGES)}.")
    catalog = open_catalog(settings)
    return _BUILDERS[stage](settings, open_map(settings, catalog), catalog)


def _intake(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.wiring.intake import build_intake_stage

    return build_intake_stage(settings, hub_map, catalog)


def _routing(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.wiring.routing import build_routing

    return build_routing(settings, hub_map, catalog)


def _disclosure(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.contracts.endpoints import load_endpoints
    from hub.wiring.disclosure import build_disclosure

    return build_disclosure(settings, hub_map, catalog, load_endpoints(settings.endpoints))


def _delivery(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.contracts.endpoints import load_endpoints
    from hub.wiring.delivery import build_delivery

    return build_delivery(settings, hub_map, catalog, load_endpoints(settings.endpoints))


def _clocks(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.wiring.clocks import build_clocks

    return build_clocks(settings, hub_map, catalog)


def _uplink(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.wiring.uplink import build_uplink

    return build_uplink(settings, catalog)


def _ledger(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.wiring.ledger import build_ledger

    return build_ledger(settings, hub_map, catalog)


def _ops(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.wiring.groups import all_groups
    from hub.wiring.ops import build_ops

    return build_ops(settings, hub_map, catalog, all_groups(settings, hub_map))


def _web(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    from hub.wiring.clocks import clocks_view
    from hub.wiring.document import asyncapi_document
    from hub.wiring.web import build_web

    document = partial(asyncapi_document, settings, hub_map, catalog)
    return build_web(settings, hub_map, catalog, document, partial(clocks_view, settings))


_BUILDERS: Mapping[str, Builder] = {
    "intake": _intake, "routing": _routing, "disclosure": _disclosure, "delivery": _delivery, "clocks": _clocks,
    "uplink": _uplink, "ledger": _ledger, "ops": _ops, "web": _web,
}  # fmt: skip
STAGES = tuple(_BUILDERS)
