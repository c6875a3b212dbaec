"""Where filled forms are handed in: the desk of a source, the same that takes ``POST /v1/events``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from hub.contracts.catalog import Catalog
from hub.errors import UsageError
from hub.intake.answers_kept import Answer, Asked
from hub.intake.desk import Finish
from hub.intake.desk_round import Result
from hub.intake.forms.description import Form, describe_form
from hub.intake.forms.filled import Filled, read_filled
from hub.intake.results import single_answer
from hub.intake.submissions import MAX_NATURAL_KEY, Receiver, Submission


class Desk(Protocol):
    """The part of ``hub.intake.desk.SourceDesk`` that is needed here."""

    def submit(
        self, submissions: Sequence[Submission], finish: Finish, asked: Asked | None = None
    ) -> Future[Answer]: ...


class FormDesk:
    """Forms of one source. ``schemas`` maps the event types that it may hand in to the names of their schemas.

    Safe to share between threads, as the desk and the receiver are.
    """

    def __init__(self, receiver: Receiver, desk: Desk, schemas: Mapping[str, str], catalog: Catalog) -> None:
        self._receiver, self._desk, self._codes = receiver, desk, catalog.codes
        self._forms = {
            type_: describe_form(type_, catalog.schema(name), catalog.codes, MAX_NATURAL_KEY)
            for type_, name in schemas.items()
        }

    @property
    def types(self) -> list[str]:
        """Event types that have a form here."""
        return sorted(self._forms)

    def form(self, type_: str) -> Form:
        """The form of an event type. Raises UsageError naming those that there are."""
        try:
            return self._forms[type_]
        except KeyError:
            raise UsageError(f"There is no form for {type_!r}; there are: {', '.join(self.types)}.") from None

    def check(self, type_: str, filled: Filled) -> Submission:
        """The form as what would be handed in. Raises as ``submit`` does before anything is handed in."""
        return read_filled(self.form(type_), filled, self._receiver, frozenset(self._forms), self._codes)

    def submit(self, type_: str, filled: Filled, asked: Asked | None = None) -> Future[Answer]:
        """Hands a form in. The answer is that of ``POST /v1/events`` for one event: 202 when all in-sync replicas
        have it, 200 for what was handed in before, else a problem document. ``asked`` is for a form that may be sent
        twice by a nervous finger; without it a repeat is found by its content.

        :raises ProblemError: for faults of the form, before anything is handed in: see ``read_filled``.
        :raises UsageError: for a type that has no form here.
        :raises InfrastructureError: where it is of no use to wait; the future fails with it where Kafka or Redis
            does not answer, and with ProblemError for a key that was used for something else.
        """
        submission = self.check(type_, filled)

        def finish(results: Sequence[Result]) -> Answer:
            (result,) = results
            return single_answer(submission.id, result, submission.warnings, f"/forms/{type_}")

        return self._desk.submit([submission], finish, asked)
