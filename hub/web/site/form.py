"""What a form sent, read within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect

from hub.domain.problem import ProblemError

#: A form of a page is some hundred bytes; this leaves room for a long reason in escaped Chinese.
MAX_FORM_BYTES = 65_536
MAX_FIELDS = 100
#: A browser shows the answer only when what it sends was taken: so much of what is too large is read and dropped.
_DRAINED_BYTES = 512 * 1024 * 1024
_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


class Form:
    """Fields by name. A field that was not sent is empty text."""

    def __init__(self, data: FormData) -> None:
        self._data = data

    def text(self, name: str, most: int = 2000) -> str:
        """The field without blanks around it. Raises ProblemError 422 if it is longer than ``most`` characters."""
        return self.secret(name, most).strip()

    def secret(self, name: str, most: int = 1000) -> str:
        """The field as it was typed, blanks and all."""
        value = self._data.get(name)
        text = value if isinstance(value, str) else ""
        if len(text) > most:
            raise ProblemError(422, "too-long", "内容过长", f"{name}: {len(text):,} characters; {most:,} fit")
        return text

    def file(self, name: str) -> UploadFile | None:
        """The file that was sent under that name; ``None`` if none was chosen."""
        value = self._data.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    def many(self, name: str) -> list[str]:
        return [value for value in self._data.getlist(name) if isinstance(value, str)][:MAX_FIELDS]

    def names(self) -> list[str]:
        """Names of the fields that were sent, in their order."""
        return list(dict.fromkeys(self._data))

    def shown(self) -> Mapping[str, Any]:
        """What is shown again when the form is refused: no password among it."""
        return {
            name: self.many(name) if name == "roles" else self.text(name)
            for name in self._data if "password" not in name and not name.startswith("_")
        }


async def read_form(
    request: Request, most: int = MAX_FORM_BYTES, files: int = 0, fields: int = MAX_FIELDS
) -> Form:
    """The form of a request, read once. Raises ProblemError 411, 413, 415 or 422.

    The length has to be said beforehand, which every browser does: the server holds the sender to it.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise ProblemError(415, "unsupported-media-type", "内容类型不受理", f"a form is one of {', '.join(_TYPES)}")
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        raise ProblemError(411, "length-required", "须注明内容长度", "Content-Length is needed")
    if int(length) > most:
        if files and int(length) <= _DRAINED_BYTES:
            await _drain(request)
        slug = "file-too-large" if files else "too-large"
        raise ProblemError(413, slug, "内容过大", f"a form may hold {most} bytes")
    return Form(await request.form(max_files=files, max_fields=fields, max_part_size=min(most, MAX_FORM_BYTES)))


async def _drain(request: Request) -> None:
    with suppress(ClientDisconnect):
        async for _ in request.stream():
            pass
