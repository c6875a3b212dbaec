"""Versions that a row has in the index and not on its topic: it waits, or bears witness to another's fact.

Such a version is *tentative*: its number is that of the event which the row would become, and stays free until that
event is published. So the id of an event is the same function of source, natural key and version, whenever a person
decides, and no number is used up by content that nobody saw. In the index its state begins with ``~``, behind which
stands the state of the last version that was published, and the state that the row itself calls for. On the log the
header ``ce_priorstate`` tells such records from events; ``ce_rowstate`` beside it is the row's own.
"""

from __future__ import annotations

from hub.state.seen_index import SeenRow

#: Header of a record that stands for a version which is not published.
PRIOR_STATE = "ce_priorstate"
#: Beside it: the state of the row that is not published. An amendment of it leaves that as it is.
ROW_STATE = "ce_rowstate"
#: Header of an event that is a declared fact: key, state of the row, content, way (``hub.intake.facts.book``).
FACT_HEADER = "ce_fact"
_MARK = "~"
_BEHIND = "\x1f"
_NOTHING = bytes(8)


def tentative(before: SeenRow | None, digest: bytes, row_state: str = "") -> SeenRow:
    """What the index holds of a row whose next version is not published. ``before`` is the last published one."""
    version, prior = (1, "") if before is None else (before.version + 1, before.state)
    return SeenRow(version, digest, _joined(prior, row_state))


def is_tentative(row: SeenRow) -> bool:
    return row.state[:1] == _MARK


def own_state(row: SeenRow) -> str:
    """The state of the row's last content, published or not; empty where it is not known."""
    return row.state.partition(_BEHIND)[2] if is_tentative(row) else row.state


def tentative_headers(before: SeenRow | None, row_state: str) -> list[tuple[str, bytes]]:
    """What tells a record of a version that is not published. ``before`` is the last published one."""
    return [(PRIOR_STATE, (before.state if before else "").encode()), (ROW_STATE, row_state.encode())]


def _joined(prior: str, row_state: str) -> str:
    return f"{_MARK}{prior}{_BEHIND}{row_state}" if row_state else _MARK + prior


def _prior(state: str) -> str:
    return state.removeprefix(_MARK).partition(_BEHIND)[0]


def published(row: SeenRow | None) -> SeenRow | None:
    """The last published version; its digest is not known where a tentative one stands in its place."""
    if row is None or not is_tentative(row):
        return row
    return None if row.version == 1 else SeenRow(row.version - 1, _NOTHING, _prior(row.state))


def behind(
    before: SeenRow | None, version: int, digest: bytes, type_: str, prior_state: str | None,
    row_state: str | None = None,
) -> SeenRow | None:
    """What the index holds behind a record of the log; ``None`` if it says nothing newer than ``before``.

    ``prior_state`` is that of a tentative record, ``None`` of an event. Records of several topics come in any order:
    an event goes before a tentative record of its version, and of two tentative ones the later counts. ``row_state``
    is said by tentative records, and by events that may be the first of their row and yet amend what another source
    had told.
    """
    if before is not None and version <= before.version and (version < before.version or not is_tentative(before)):
        return None
    if prior_state is not None:
        return SeenRow(version, digest, _joined(prior_state, row_state or ""))
    if row_state is not None:
        return SeenRow(version, digest, row_state)
    if type_.endswith(".amended"):
        # An amendment leaves the state as it was, every other type is a state.
        return SeenRow(version, digest, _prior(before.state) if before else "")
    return SeenRow(version, digest, type_)
