"""Who asks for a page, and what he may see."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hub.access.accounts import Account
from hub.access.desk import Person
from hub.access.record import actor_of
from hub.access.sessions import Session, form_token
from hub.domain.acts import Actor
from hub.domain.problem import ProblemError
from hub.domain.rights import Scope, reaches, scope_of


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is signed in, for one request. ``scope`` is how far he reaches in ``action``."""

    account: Account
    session: Session
    session_id: str
    action: str
    scope: Scope

    def may(self, action: str) -> bool:
        """Whether he may do ``action`` at all; what pages show is chosen by it."""
        return self.scope_in(action) != "none"

    def scope_in(self, action: str) -> Scope:
        return scope_of(action, self.account.acting_roles, self.account.department)

    def for_action(self, action: str) -> Caller:
        """The same person in another action, with his reach in that."""
        return replace(self, action=action, scope=self.scope_in(action))

    def sees(self, department: str) -> bool:
        """Whether a thing of ``department`` is there for him, in the action that the route asked for."""
        return reaches(self.scope, self.account.department, department)

    def must_see(self, department: str | None) -> None:
        """Raises ProblemError 404 for another department's thing and for what is not there (``None``) alike: guessing
        addresses tells nothing."""
        if department is None or not self.sees(department):
            raise not_here()

    @property
    def home(self) -> str:
        return "/" if self.may("portal.read") else "/console"

    @property
    def actor(self) -> Actor:
        """Who he is in acts."""
        return actor_of(self.account)

    @property
    def person(self) -> Person:
        """Who he is for the desk of accounts."""
        return Person(self.actor, self.account)

    @property
    def form_token(self) -> str:
        return form_token(self.session_id)


def not_here() -> ProblemError:
    return ProblemError(404, "not-found", "没有此内容", "there is nothing here")
