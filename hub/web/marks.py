"""What every route says of itself: a right that it asks for, or why it is open without one.

A route says so by a dependency, which this module can find again: a test walks all routes of the application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.params import Depends
from starlette.routing import BaseRoute, Mount

_MARK = "hub_mark"


class Mark(NamedTuple):
    """``right`` is an action of the table, ``key`` a scope of a program's key, ``open_to`` why it has neither."""

    right: str | None = None
    key: str | None = None
    open_to: str | None = None


def marked(call: Callable[..., Any], mark: Mark) -> Callable[..., Any]:
    """``call`` as a dependency that says ``mark`` of the routes that have it."""
    setattr(call, _MARK, mark)
    return call


def open_to(whom: str) -> Any:
    """For ``dependencies=[…]`` of a route or router that needs no account: ``whom`` says who may, and by what."""
    return Depends(marked(lambda: None, Mark(open_to=whom)))


def marks_of(app: FastAPI) -> Iterator[tuple[str, str, list[Mark]]]:
    """(methods, path, marks) of every route, those of mounted applications under their mount."""
    yield from _walk(app.routes, "")


#: Routes that FastAPI and Starlette make by themselves, with who may see them.
FRAMEWORK = {
    "/openapi.json": Mark(open_to="everyone: the description of the interface"),
    "/static": Mark(open_to="everyone: styles and scripts"),
}


def _walk(routes: Iterable[BaseRoute], prefix: str) -> Iterator[tuple[str, str, list[Mark]]]:
    for route in routes:
        path = prefix + str(getattr(route, "path", ""))
        if path in FRAMEWORK:
            yield _methods(route), path, [FRAMEWORK[path]]
        elif isinstance(route, Mount):
            yield from _walk(route.routes or (), path)
        elif contexts := getattr(route, "effective_route_contexts", None):
            # A router that was included: FastAPI keeps it whole, and gives its routes with their full paths.
            for each in contexts():
                yield _methods(each), prefix + each.path, list(_marks(each.dependant)) if each.dependant else []
        else:
            # A route of a kind that is not known here has no mark: it is found, not passed over.
            dependant = getattr(route, "dependant", None)
            yield _methods(route), path, list(_marks(dependant)) if dependant else []


def _methods(route: Any) -> str:
    return ",".join(sorted(getattr(route, "methods", None) or ()))


def _marks(dependant: Dependant) -> Iterator[Mark]:
    found = getattr(dependant.call, _MARK, None)
    if found is not None:
        yield found
    for each in dependant.dependencies:
        yield from _marks(each)
