"""Who a token is: subscriptions by their own tokens (``hubt_…``), and whoever else is asked in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub.web.readers import OWN_SCOPES, Caller, Callers
from hub.web.subscriptions import SettingsReader


class SubscriptionCallers:
    """A subscription's token stands for its department, as far as that subscription goes.

    ``departments`` maps every subscription of the map to the code of its department.
    """

    def __init__(self, settings: SettingsReader, departments: Mapping[str, str]) -> None:
        self._settings, self._departments = settings, departments

    def find(self, token: str) -> Caller | None:
        if not token.startswith("hubt_"):
            return None
        for name, department in self._departments.items():
            found = self._settings.get(name)
            if found is not None and found.opens_with(token):
                return Caller(f"subscription:{name}", department, frozenset((name,)), OWN_SCOPES)
        return None


class AnyOf:
    """The first of several that knows the token."""

    def __init__(self, callers: Sequence[Callers]) -> None:
        self._callers = callers

    def find(self, token: str) -> Caller | None:
        return next((caller for each in self._callers if (caller := each.find(token)) is not None), None)
