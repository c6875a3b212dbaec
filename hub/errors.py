"""The tree of errors.

The docstring of a class is its default message, so that every error reads as a sentence.
``is_retryable`` says whether the same call may go through later; a lane backs off on those
and sends the record to the dead letters on the others.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class HubError(Exception):
    """Something in the hub went wrong."""

    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or type(self).__name__))


class UsageError(HubError):
    """The command was given something that it cannot work with."""


class InputError(HubError):
    """Input from outside does not have the form that its contract names."""


class ContractError(HubError):
    """A schema, view or topic map is wrong or unknown."""


class PoisonError(HubError):
    """A record can never be processed, however often it is tried."""


class InfrastructureError(HubError):
    """A part that the hub stands on did not answer; trying again may help."""

    is_retryable = True


class BrokerError(InfrastructureError):
    """Kafka did not take or give a record."""


class IndexUnavailableError(InfrastructureError):
    """Redis did not answer."""


class OutletError(InfrastructureError):
    """An outside system did not take what it was sent; trying again may help."""


class MissingMeansError(HubError):
    """This machine lacks something that the command needs."""
