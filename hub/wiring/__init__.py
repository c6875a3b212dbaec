"""The one place that picks and connects parts. Nothing here decides anything of the domain.

Its names are those of its modules, each loaded when it is first asked for: a process pays for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub.wiring.access import apply_cluster as apply_cluster
    from hub.wiring.access import change_password as change_password
    from hub.wiring.access import direct_state as direct_state
    from hub.wiring.access import plan_cluster as plan_cluster
    from hub.wiring.acts import acts_desk as acts_desk
    from hub.wiring.acts import dead_letter_desk as dead_letter_desk
    from hub.wiring.acts import open_acts as open_acts
    from hub.wiring.acts import replays as replays
    from hub.wiring.clocks import calendar_desk as calendar_desk
    from hub.wiring.clocks import clock_parts as clock_parts
    from hub.wiring.clocks import clocks_rebuild as clocks_rebuild
    from hub.wiring.clocks import clocks_view as clocks_view
    from hub.wiring.delivery import address_guard as address_guard
    from hub.wiring.delivery import settings_desk as settings_desk
    from hub.wiring.delivery import vault as vault
    from hub.wiring.delivery import verify_address as verify_address
    from hub.wiring.delivery import waiting_notices as waiting_notices
    from hub.wiring.disclosure import mend as mend
    from hub.wiring.disclosure import public_states as public_states
    from hub.wiring.disclosure import reconcile as reconcile
    from hub.wiring.disclosure import withdraw_again as withdraw_again
    from hub.wiring.document import asyncapi_document as asyncapi_document
    from hub.wiring.groups import all_groups as all_groups
    from hub.wiring.groups import consumer_groups as consumer_groups
    from hub.wiring.guards import sources_guard as sources_guard
    from hub.wiring.health import with_health as with_health
    from hub.wiring.http_intake import keys_desk as keys_desk
    from hub.wiring.intake import build_intake as build_intake
    from hub.wiring.intake import intake_means as intake_means
    from hub.wiring.ledger import LedgerRebuild as LedgerRebuild
    from hub.wiring.ledger import open_ledger as open_ledger
    from hub.wiring.maps import open_map_log as open_map_log
    from hub.wiring.ops import lag_watch as lag_watch
    from hub.wiring.parts import Service as Service
    from hub.wiring.parts import Together as Together
    from hub.wiring.parts import open_catalog as open_catalog
    from hub.wiring.parts import open_map as open_map
    from hub.wiring.parts import open_redis as open_redis
    from hub.wiring.parts import subject_secret as subject_secret
    from hub.wiring.parts import utc_now as utc_now
    from hub.wiring.seeds import seed_accounts as seed_accounts
    from hub.wiring.site import accounts_desk as accounts_desk
    from hub.wiring.site import api_keys_desk as api_keys_desk
    from hub.wiring.site import key_uses as key_uses
    from hub.wiring.sources_http import http_sources as http_sources
    from hub.wiring.stages import STAGES as STAGES
    from hub.wiring.stages import build_service as build_service
    from hub.wiring.topics import topic_specs as topic_specs
    from hub.wiring.uplink import find_uplinks as find_uplinks
    from hub.wiring.uplink import uplink_groups as uplink_groups
    from hub.wiring.web import registry_subjects as registry_subjects

_MODULES = {
    "access": "apply_cluster change_password direct_state plan_cluster",
    "acts": "acts_desk dead_letter_desk open_acts replays",
    "clocks": "calendar_desk clock_parts clocks_rebuild clocks_view",
    "delivery": "address_guard settings_desk vault verify_address waiting_notices",
    "disclosure": "mend public_states reconcile withdraw_again",
    "document": "asyncapi_document",
    "groups": "all_groups consumer_groups",
    "guards": "sources_guard",
    "health": "with_health",
    "http_intake": "keys_desk",
    "intake": "build_intake intake_means",
    "ledger": "LedgerRebuild open_ledger",
    "maps": "open_map_log",
    "ops": "lag_watch",
    "parts": "Service Together open_catalog open_map open_redis subject_secret utc_now",
    "seeds": "seed_accounts",
    "site": "accounts_desk api_keys_desk key_uses",
    "sources_http": "http_sources",
    "stages": "STAGES build_service",
    "topics": "topic_specs",
    "uplink": "find_uplinks uplink_groups",
    "web": "registry_subjects",
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
