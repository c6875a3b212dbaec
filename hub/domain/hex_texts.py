"""Many digests written in one form at a time: one place of the form for all of them, then the next.

A UUID or a ``traceparent`` is hexadecimal digits with something between. Cutting and joining the pieces of one takes
half as long as hashing it; strides over the text of a whole batch take a tenth of that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


class HexForm:
    """A form of ASCII characters in which each ``x`` stands for the next of ``digits`` hexadecimal digits, and ``v``
    for the next one seen through ``variant`` (256 bytes, as ``bytes.translate`` takes them). Digits at ``skipped`` are
    left out, as are those behind the last place."""

    __slots__ = ("_blank", "_digits", "_places", "_variant", "_variants")

    def __init__(self, form: str, digits: int, skipped: Collection[int] = (), variant: bytes = bytes(256)) -> None:
        wanted = (at for at in range(digits) if at not in skipped)
        places = [(place, next(wanted)) for place, mark in enumerate(form) if mark in "xv"]
        self._blank, self._digits, self._variant = form.encode(), digits, variant
        self._places = [(place, at) for place, at in places if form[place] == "x"]
        self._variants = [(place, at) for place, at in places if form[place] == "v"]

    def texts(self, digests: Sequence[bytes]) -> list[bytes]:
        """Each digest in this form."""
        count, width, digits = len(digests), len(self._blank), self._digits
        given = b"".join(digests).hex().encode()
        made = bytearray(self._blank * count)
        for place, at in self._places:
            made[place::width] = given[at::digits]
        for place, at in self._variants:
            made[place::width] = given[at::digits].translate(self._variant)
        text = bytes(made)
        return [text[start : start + width] for start in range(0, count * width, width)]
