"""Puts an intake together from configuration. Connectors are named, and loaded when first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from hub.contracts.catalog import Catalog
from hub.contracts.fields import Field
from hub.errors import ContractError
from hub.intake.beside.readers import Readers
from hub.intake.held import HeldPortions
from hub.intake.registry import find_connector
from hub.intake.rows import Source
from hub.intake.session import IntakeSession, Means
from hub.intake.sources import FieldRule, SourceConfig, SourceContext


def build_source(config: SourceConfig, catalog: Catalog, data_dir: Path) -> Source:
    """The source of a configuration. ``data_dir`` is the hub's folder on this machine.

    :raises ContractError: when connector, mapping or settings cannot work.
    """
    make = find_connector(config.connector, config.base)
    return cast(Source, make(source_context(config, catalog, data_dir)))


def source_context(config: SourceConfig, catalog: Catalog, data_dir: Path) -> SourceContext:
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

    return SourceContext(config, fields, codes, source_folder(data_dir, config.name))


def source_folder(data_dir: Path, name: str) -> Path:
    """Where a source keeps what it has to remember."""
    return data_dir / "intake" / name / "source"


def held_portions(data_dir: Path, name: str) -> HeldPortions:
    """What a source holds until a person decides."""
    return HeldPortions(source_folder(data_dir, name), name)


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
    readers: Readers | None = None,
) -> IntakeSession:
    """The intake of one source, to be entered as a context."""
    means = Means(catalog, bootstrap, redis_url, data_dir, subject_secret, readers=readers)
    return open_session(config, means)


def open_session(
    config: SourceConfig, means: Means, should_stop: Callable[[], bool] = lambda: False
) -> IntakeSession:
    """The intake of one source on what it shares with others, to be entered as a context."""
    source = build_source(config, means.catalog, means.data_dir)
    return IntakeSession(source, means, config=config, should_stop=should_stop)
