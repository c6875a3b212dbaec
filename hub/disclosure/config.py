"""Which sink serves a channel, and what is said to it: the map names the connector, the file of endpoints the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from hub.contracts.catalog import Catalog
from hub.contracts.connector_settings import ConnectorSettings, parse_settings
from hub.contracts.fields import Field
from hub.disclosure.registry import find_sink
from hub.disclosure.sink import Sink, SinkContext
from hub.errors import ContractError


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """One channel: what the map says of it, and the settings of its sink."""

    name: str
    title: str
    view: str
    connector: str
    settings: ConnectorSettings
    audience: str = "public"
    #: Folder of the file of endpoints, from which a sink's file is seen.
    base: Path | None = None

    @classmethod
    def of(
        cls, name: str, title: str, view: str, connector: str, given: Mapping[str, Any], base: Path | None = None,
        audience: str = "public",
    ) -> ChannelConfig:
        """From the map and the channel's entry in the file of endpoints.

        :raises ContractError: naming the channel and every fault, and never what stood there, which may be secret.
        """
        try:
            sink = find_sink(connector, base)
        except ContractError as error:
            raise ContractError(f"channel {name}: connector: {error}") from error
        model = sink.Settings
        if audience == "government" and getattr(sink, "audience", "public") != "government":
            raise ContractError(
                f"channel {name}: connector: {connector} is for the public, and the channel's audience is the "
                "government: what that may see would become public; use a sink for it, or audience: public"
            )
        settings, faults = parse_settings(model, dict(given), base)
        if settings is None:
            raise ContractError("\n".join(f"channel {name}: {fault}" for fault in faults))
        return cls(name, title, view, connector, settings, audience, base)


def build_sink(config: ChannelConfig, catalog: Catalog, data_dir: Path, now: Callable[[], datetime]) -> Sink:
    """The sink of a channel. ``data_dir`` is the hub's folder on this machine.

    :raises ContractError: when its settings cannot work.
    """

    def fields(kind: str) -> tuple[Field, ...]:
        return catalog.projection(kind, config.view).schema.fields

    def codes(name: str) -> Mapping[str, str]:
        known = catalog.codes.get(name)
        if known is None:
            raise ContractError(f"there is no code list {name}")
        return {code: entry.title for code, entry in known.entries.items()}

    folder = data_dir / "disclosure" / config.name
    context = SinkContext(config.name, config.title, config.settings, folder, now, fields, codes)
    return cast(Sink, find_sink(config.connector, config.base)(context))
