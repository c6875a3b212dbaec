"""Problem documents (RFC 9457) of the stand-ins."""

from __future__ import annotations

from fastapi.responses import JSONResponse


def problem(status: int, title: str, detail: str, **more: str | None) -> JSONResponse:
    """``title`` in Chinese as the outside systems have it, ``detail`` in English for the engineer."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(document, status_code=status, media_type="application/problem+json")
