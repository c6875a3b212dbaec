"""Looks at personal data: whoever looks says what for, and that is on record before anything is shown.

Law: 个人信息保护法 art. 6 (a clear and reasonable purpose) and 51 (records of what is done). A page that holds personal
data shows the form (``purpose_form`` in ``components.html``); its route for POST calls ``state_purpose`` and shows
the data in its answer, once.
"""

from __future__ import annotations

from collections.abc import Sequence

from hub.access.record import Acts
from hub.access.refusal import RefusalError
from hub.domain.acts import Act
from hub.web.site.caller import Caller

#: “核查” alone is no purpose; a case number with two words is.
LEAST_PURPOSE = 4
KIND = "personal.data.look"


def state_purpose(acts: Acts, caller: Caller, target: str, fields: Sequence[str], purpose: str) -> Act:
    """Puts on record that ``caller`` looks at ``fields`` of ``target`` (a hub's id, no number of a person).

    Blocks. Raises RefusalError without a purpose, InputError for a target that is a personal number, BrokerError if
    it could not be put on record: then nothing may be shown.
    """
    text = " ".join(purpose.split())
    if len(text) < LEAST_PURPOSE:
        raise RefusalError("purpose-missing", least=LEAST_PURPOSE)
    return acts.look(KIND, caller.actor, target, text, details=[("fields", ",".join(fields))])
