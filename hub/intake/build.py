"""Puts an intake together from configuration. Connectors are named, and loaded when first used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from hub.contracts.catalog import Catalog
from hub.contracts.fields import Field
from hub.errors import ContractError
from hub.intake.rows import Source
from hub.intake.session import IntakeSession, Means
from hub.intake.sources import FieldRule, SourceConfig, SourceContext

#: Connectors that the hub brings along. Another one is named ``package.module:callable``; it is
#: called with the SourceContext and returns a Source.
CONNECTORS: Mapping[str, str] = {"export-folder": "connectors.export_folder.source:ExportFolder"}


def build_source(config: SourceConfig, catalog: Catalog) -> Source:
    """The source of a configuration. Raises ContractError when connector or mapping is unknown."""
    target = CONNECTORS.get(config.connector, config.connector)
    module, _, name = target.partition(":")
    try:
        make = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ContractError(
            f"source {config.name}: unknown connector {config.connector}; there are: {', '.join(CONNECTORS)}"
        ) from error
    return cast(Source, make(source_context(config, catalog)))


def source_context(config: SourceConfig, catalog: Catalog) -> SourceContext:
    """What a connector gets of the hub."""

    def codes(name: str) -> Mapping[str, str]:
        known = catalog.codes.get(name)
        if known is None:
            raise ContractError(f"there is no code list {name}")
        texts: dict[str, str] = {}
        # Titles come first: they are what a clerk is shown as the right texts.
        for code, entry in known.entries.items():
            texts[entry.title] = code
        for code, entry in known.entries.items():
            for text in (code, *entry.aliases):
                texts.setdefault(text, code)
        return texts

    def fields(schema: str) -> Mapping[str, FieldRule]:
        return {field.name: _rule(field, codes) for field in catalog.schema(schema).fields}

    return SourceContext(config, fields, codes)


def _rule(field: Field, codes: object) -> FieldRule:
    table = cast(
        "Mapping[str, str] | None", codes(field.code_list) if callable(codes) and field.code_list else None
    )
    is_masked = field.privacy == "sensitive" or field.mask == "phone"
    return FieldRule(
        field.name,
        field.title,
        field.max_length if field.type == "string" else None,
        table,
        is_masked,
        field.is_nullable or field.has_default,
    )


def build_intake(
    config: SourceConfig,
    catalog: Catalog,
    bootstrap: str,
    redis_url: str,
    data_dir: Path,
    subject_secret: bytes,
) -> IntakeSession:
    """The intake of one source, to be entered as a context."""
    return IntakeSession(
        build_source(config, catalog), Means(catalog, bootstrap, redis_url, data_dir, subject_secret)
    )
