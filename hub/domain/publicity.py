"""What is kept from the public is an exception of the law, with its reason on record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

#: Fields by which a department keeps a record from the public, and says why.
IS_PUBLIC, NONPUBLIC_REASON = "is_public", "nonpublic_reason"
#: What is wrong where the reason is missing.
PROBLEM = "不予公开的记录没有写明理由"


def can_be_kept_back(fields: Collection[str]) -> bool:
    """Whether records with these fields can be kept from the public, and say why."""
    return IS_PUBLIC in fields and NONPUBLIC_REASON in fields


def lacks_reason(value: Mapping[str, Any]) -> bool:
    """Whether a record is kept from the public without a word. What is no truth value is the schema's to judge."""
    if value.get(IS_PUBLIC) is not False:
        return False
    reason = value.get(NONPUBLIC_REASON)
    return reason is None or (isinstance(reason, str) and not reason.strip())


def remedy(column: str | None = None) -> str:
    """What would be right; ``column`` is the heading under which the reason is looked for."""
    where = f"在“{column}”列" if column else ""
    return f"请{where}写明不予公开的法律依据；依法应当公开的，请改为公开"
