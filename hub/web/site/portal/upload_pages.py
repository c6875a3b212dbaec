"""``/desk/uploads``: a department's export, looked at first and then handed in; what became of it, row by row.

The pages publish nothing: intake reads what is handed in, in its own process (``hub.intake.uploads.desk``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from hub.access.refusal import RefusalError
from hub.domain.characters import mask_personal
from hub.errors import InputError
from hub.intake.rows import Refusal
from hub.intake.uploads.box import Upload
from hub.intake.uploads.desk import AT_ONCE_SECONDS, SHOWN, Progress, UploadDesk
from hub.web.site.answers import go_on
from hub.web.site.caller import Caller, not_here
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.live import Live, live
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.personal import state_purpose

PATH = "/desk/uploads"
#: A file by a page; more rows than anybody looks through. Larger ones go by folder or SFTP, which have other bounds.
MOST_BYTES = 20 * 1024 * 1024
#: Around a file a form has its fields and what separates them.
_AROUND = 64 * 1024
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Reader = Annotated[Caller, Depends(allowed("records.enter"))]
Sender = Annotated[Caller, Depends(allowed("records.enter", most=MOST_BYTES + _AROUND, files=1))]
Looker = Annotated[Caller, Depends(allowed("personal.read"))]
Sent = Annotated[Form, Depends(posted)]


class Standing(NamedTuple):
    """Where an upload stands: ``word`` is looking, looked, refused, waiting, taken or turned-back; the rest is what the
    page says of it."""

    word: str
    context: Mapping[str, Any]


def upload_pages(desks: Mapping[str, tuple[str, UploadDesk]]) -> PageSet:
    """The routes of this module. ``desks`` are, by the name of their source, the id of its department and its desk."""
    pages = _UploadPages(desks)
    router = APIRouter(include_in_schema=False)
    one = f"{PATH}/{{source}}/{{upload_id}}"
    router.add_api_route(PATH, pages.show, methods=["GET"])
    router.add_api_route(PATH, pages.send, methods=["POST"])
    router.add_api_route(one, pages.one, methods=["GET"])
    router.add_api_route(f"{one}/hand-in", pages.hand_in, methods=["POST"])
    router.add_api_route(f"{one}/problems", pages.problems, methods=["GET"])
    router.add_api_route(f"{one}/rows", pages.rows, methods=["POST"])
    router.add_api_route("/live/uploads/{source}/{upload_id}", pages.live, methods=["GET"])
    return PageSet(router, (NavEntry(PATH, "nav.uploads", "records.enter", 32),))


class _UploadPages:
    def __init__(self, desks: Mapping[str, tuple[str, UploadDesk]]) -> None:
        self._desks = desks

    def show(self, request: Request, caller: Reader) -> Response:
        return self._list(request, caller)

    def send(self, request: Request, caller: Sender, form: Sent) -> Response:
        source = form.text("source", 100)
        desk, file = self._desk(caller, source), form.file("file")
        if file is None:
            return self._list(request, caller, 422, chosen=source, fault="missing")
        try:
            # A browser may send a path; what counts is the name at its end.
            name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
            upload = desk.stage(name, file.file, caller.account.name)
        except Refusal as refusal:
            return self._list(request, caller, 422, chosen=source, refusal=refusal)
        return go_on(request, f"{PATH}/{source}/{upload.id}", "upload-looked")

    def one(self, request: Request, caller: Reader, source: str, upload_id: str) -> Response:
        desk, upload = self._find(caller, source, upload_id)
        return self._page(request, caller, desk, upload, AT_ONCE_SECONDS)

    def hand_in(self, request: Request, caller: Reader, source: str, upload_id: str, form: Sent) -> Response:
        desk, upload = self._find(caller, source, upload_id)
        path = f"{PATH}/{source}/{upload_id}"
        if upload.handed_at is not None:
            return go_on(request, path, "upload-handed")
        name = mask_personal(upload.name)
        try:
            with site_of(request).acts.acting(
                "sources.upload", caller.actor, f"{source}/{upload_id}", f"上传 {name}", details=[("file", name)],
            ) as outcome:
                outcome.append("handed in" if desk.hand_in(upload, caller.account.name) else "was handed in before")
        except InputError:
            return self._page(request, caller, desk, upload, status=422, is_refused=True)
        return go_on(request, path, "upload-handed")

    def problems(self, request: Request, caller: Reader, source: str, upload_id: str) -> Response:
        desk, upload = self._find(caller, source, upload_id)
        found = desk.list_of_problems(upload)
        if found is None:
            raise not_here()
        return _attached(found, f"{Path(upload.name).stem}.errors{found.suffix}")

    def rows(self, request: Request, caller: Looker, source: str, upload_id: str, form: Sent) -> Response:
        """The rejected rows whole: they hold what a list of problems masks."""
        if caller.scope != "own":
            raise not_here()
        desk, upload = self._find(caller, source, upload_id)
        try:
            state_purpose(
                site_of(request).acts, caller, f"{source}/{upload_id}", ["rejected rows"], form.text("purpose")
            )
            found = desk.rows_to_mend(upload)
        except RefusalError as refusal:
            return self._page(request, caller, desk, upload, status=422, refusal=refusal)
        if found is None:
            raise not_here()
        return _attached(found, f"{Path(upload.name).stem}（需改正的行）.xlsx")

    def live(self, request: Request, caller: Reader, source: str, upload_id: str) -> Response:
        desk, upload = self._find(caller, source, upload_id)

        def look() -> Live:
            found = desk.find(upload_id) or upload
            standing = _standing(desk, found)
            page = site_of(request).renderer.page(
                request, "desk-upload-state.html", caller, **self._shown(desk, found, standing)
            )
            said = standing.context.get("progress")
            return Live(f"{standing.word}:{said.done if said else ''}", bytes(page.body).decode())

        return live(request, caller, look)

    def _desk(self, caller: Caller, source: str) -> UploadDesk:
        department, desk = self._desks.get(source, (None, None))
        caller.must_see(department)
        if desk is None:
            raise not_here()
        return desk

    def _find(self, caller: Caller, source: str, upload_id: str) -> tuple[UploadDesk, Upload]:
        desk = self._desk(caller, source)
        upload = desk.find(upload_id)
        if upload is None:
            raise not_here()
        return desk, upload

    def _list(
        self, request: Request, caller: Caller, status: int = 200, *, chosen: str = "", fault: str | None = None,
        refusal: Refusal | None = None,
    ) -> Response:
        own = [desk for department, desk in self._desks.values() if caller.sees(department)]
        uploads = sorted(
            ((desk, each) for desk in own for each in desk.all()), key=lambda pair: pair[1].at, reverse=True
        )[:25]
        rows = [
            {"desk": desk, "upload": each, "standing": _standing(desk, each, is_glance=True)} for desk, each in uploads
        ]
        return site_of(request).renderer.page(
            request, "desk-uploads.html", caller, status=status, desks=own, rows=rows, chosen=chosen, fault=fault,
            refused=refusal, most_bytes=MOST_BYTES, most=MOST_BYTES // 1024**2, masked=mask_personal,
        )

    def _page(
        self, request: Request, caller: Caller, desk: UploadDesk, upload: Upload, wait_seconds: float = 0.0, *,
        status: int = 200, refusal: RefusalError | None = None, is_refused: bool = False,
    ) -> Response:
        standing = _standing(desk, upload, wait_seconds)
        return site_of(request).renderer.page(
            request, "desk-upload.html", caller, status=status, refusal=refusal, is_refused=is_refused,
            **self._shown(desk, upload, standing),
        )

    def _shown(self, desk: UploadDesk, upload: Upload, standing: Standing) -> dict[str, Any]:
        return {
            "desk": desk, "upload": upload, "name": mask_personal(upload.name), "word": standing.word,
            "at": f"{PATH}/{desk.source}/{upload.id}", "most_shown": SHOWN, **_NOTHING, **standing.context,
        }


_NOTHING: Mapping[str, Any] = {
    "look": None, "progress": None, "found": (), "counts": None, "turned_back": None, "has_list": False,
}


def _standing(desk: UploadDesk, upload: Upload, wait_seconds: float = 0.0, *, is_glance: bool = False) -> Standing:
    """``is_glance``: no problems are read."""
    if upload.handed_at is not None:
        verdict = desk.verdict(upload)
        if verdict is None:
            return Standing("waiting", {})
        if verdict.refusal is not None:
            return Standing("turned-back", {"turned_back": verdict.refusal})
        found = [] if is_glance else desk.problems(upload)
        return Standing("taken", {"counts": verdict.counts, "has_list": verdict.errors is not None, "found": found})
    look = desk.look(upload, wait_seconds)
    if isinstance(look, Progress):
        return Standing("looking", {"progress": look})
    if look.status == "refused":
        return Standing("refused", {"look": look, "turned_back": look.refusal})
    found = [] if is_glance else desk.problems(upload)
    return Standing("looked", {"look": look, "found": found, "has_list": bool(look.problems)})


def _attached(path: Path, name: str) -> Response:
    kind = _XLSX if path.suffix == ".xlsx" else "text/csv; charset=utf-8"
    said = f"attachment; filename*=UTF-8''{quote(mask_personal(name), safe='')}"
    return Response(path.read_bytes(), media_type=kind, headers={"Content-Disposition": said})
