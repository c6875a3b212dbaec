"""Revisions as records of their topic: the envelope, the key and the schema's name, the same for each kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from hub.bus.records import Output
from hub.bus.revision_desk import Revised
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.errors import ContractError


class Signed(Revised, Protocol):
    """A revision that says who made it and when."""

    @property
    def changed_by(self) -> str: ...

    @property
    def changed_at(self) -> datetime: ...


T = TypeVar("T", bound=Signed)


class RevisionCodec(ABC, Generic[T]):
    """``from_value`` makes a revision of a decoded record; its fields are those of the schema."""

    def __init__(
        self, catalog: Catalog, topic: str, schema: str, event: str, name_of: Callable[[T], str]
    ) -> None:
        self._catalog, self._topic, self._event, self.name_of = catalog, topic, event, name_of
        self._schema = catalog.schema(schema)

    def entry(self, revision: T) -> Output:
        """The record that puts ``revision`` into force."""
        value = {each.name: _listed(getattr(revision, each.name)) for each in fields(revision)}
        name = self.name_of(revision)
        id_ = derive_id(
            self._topic, name, str(revision.revision), revision.changed_at.isoformat(), revision.changed_by
        )
        envelope = Envelope(
            id=id_, source="/access", type=self._event, subject=name, time=revision.changed_at,
            correlation_id=derive_id(self._topic, name), traceparent=new_traceparent(id_), sequence=revision.revision,
        )
        return Output(self._topic, name.encode(), self._schema.encode(value), to_headers(envelope), 0)

    def read(self, value: bytes | None) -> T:
        """Raises ContractError or PoisonError for a record that is none of the topic's."""
        if value is None:
            raise ContractError(f"a record of {self._topic} without a value")
        schema, found = self._catalog.decode(value)
        if schema.name != self._schema.name:
            raise ContractError(f"{self._topic} holds {self._schema.name}, not {schema.name}")
        return self.from_value(found)

    @abstractmethod
    def from_value(self, value: dict[str, Any]) -> T:
        """The revision that a decoded record is."""


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
