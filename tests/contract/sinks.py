"""A small harness for each sink: a channel that it serves, what can go wrong there, and what it cannot do."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from connectors.government_website.entry import Entry
from connectors.government_website.site import read_entries
from hub.disclosure import Answer, BatchRefusedError, Order, Sink
from hub.disclosure.config import ChannelConfig, build_sink
from hub.sandbox.disclosure_system import create_disclosure_system
from hub.sandbox.faults import Fault, FaultPlan, Faults
from hub.sandbox.file_channel import CreditChinaChannel, FileChannel, PlatformFileChannel
from hub.sandbox.provincial_system import create_provincial_system
from hub.sandbox.register import Register
from hub.sandbox.row_register import RowRegister
from tests.support_contracts import catalog
from tests.support_served import served

CHANNEL = "gsxt"
#: What a sink may declare that it cannot do; everything else it must.
FEATURES = {
    "answers-at-once": "gives receipts by `send`, not by `collect` later",
    "batch": "takes several orders in one `send`",
    "batch-refused": "can have a batch refused as a whole",
    "refusal": "is told why one record is refused",
    "breaks": "can have the channel break on one record without a word",
    "lost-reply": "can have an order done at the channel without hearing of it",
    "unauthorised": "can be shut out",
    "gateway": "is reached by an address (`url`) at which something else may answer",
    "listing": "lists what is public",
    "secret": "has a secret among its settings",
}


class Harness(ABC):
    """One channel and its sink. ``cannot`` says why for each feature that is lacking."""

    name: ClassVar[str]
    cannot: ClassVar[Mapping[str, str]] = {}

    #: Whether every field of a record leaves, or those alone that a template of the channel has.
    has_all: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def running(self) -> contextlib.AbstractContextManager[None]:
        """The channel, while it is there. What it holds is still there when it comes back."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the file of endpoints says of the channel; while it runs."""

    def open(self, **more: Any) -> Sink:
        """The sink, as a process that has just started has it."""
        given = {**self.settings(), **more}
        config = ChannelConfig.of(CHANNEL, "渠道", "public", self.name, given, self.folder)
        return build_sink(config, catalog(), self.folder / "data", lambda: datetime.now(UTC))

    def answer(self) -> None:  # noqa: B027  (one that answers at once has nothing to do)
        """Of a channel that answers later: has it answer what it has been sent."""

    @abstractmethod
    def public(self) -> dict[str, int]:
        """What a citizen sees: record -> version."""

    @abstractmethod
    def publications(self, order_id: str) -> int:
        """How often the channel has made an order public."""

    @abstractmethod
    async def outgoing(self, sink: Sink, orders: Sequence[Order]) -> bytes:
        """Every byte that leaves for the channel when these orders are sent, one by one and together."""

    @abstractmethod
    def back_up(self) -> Callable[[], None]:
        """Keeps what the channel has; called, the result puts it back, as its administrator may without our knowing."""

    # -- what goes wrong there ------------------------------------------------------------------

    @abstractmethod
    def be_down(self, is_down: bool) -> None:
        """Answers nothing, or answers again."""

    @abstractmethod
    def refuse(self, subjects: Sequence[str]) -> None:
        """Refuses the records of these subjects; in a batch all of it, where it can."""

    @abstractmethod
    def break_on(self, subjects: Sequence[str]) -> None:
        """Breaks on the records of these subjects: whatever holds one gets a failure and no reason, and is not done."""

    @abstractmethod
    def lose_reply(self) -> None:
        """Does what the next request asks, and its answer is lost."""

    @abstractmethod
    def shut_out(self) -> None:
        """No longer accepts our token."""


def keep_database(path: Path) -> Callable[[], None]:
    """``back_up`` of a stand-in with this register, which may be open."""
    kept = path.with_suffix(".kept")

    def copy(source: Path, target: Path) -> None:
        with (
            contextlib.closing(sqlite3.connect(source, timeout=30)) as one,
            contextlib.closing(sqlite3.connect(target, timeout=30)) as other,
        ):
            one.backup(other)

    copy(path, kept)
    return lambda: copy(kept, path)


class CollaborationPlatformHarness(Harness):
    name = "collaboration-platform"
    cannot: ClassVar = {}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._plan, self._url = FaultPlan(), ""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with served(create_disclosure_system(self.folder, self._plan, catalog())) as self._url:
            yield

    def settings(self) -> dict[str, Any]:
        return {"url": self._url, "token": "a-word-of-the-tests", "max_batch": 20}

    def public(self) -> dict[str, int]:
        register = Register(self.folder / "disclosure.sqlite")
        try:
            return {each["correlation_id"]: each["sequence"] for each in register.records(channel=CHANNEL)}
        finally:
            register.close()

    def publications(self, order_id: str) -> int:
        register = Register(self.folder / "disclosure.sqlite")
        try:
            return register.publications_of(order_id)
        finally:
            register.close()

    def back_up(self) -> Callable[[], None]:
        return keep_database(self.folder / "disclosure.sqlite")

    async def outgoing(self, sink: Sink, orders: Sequence[Order]) -> bytes:
        return await recorded(sink, orders)

    def be_down(self, is_down: bool) -> None:
        self._plan.set(Faults(down=Fault(rate=1.0 if is_down else 0.0)))

    def refuse(self, subjects: Sequence[str]) -> None:
        self._plan.set(Faults(spoiled_subjects=list(subjects)))

    def break_on(self, subjects: Sequence[str]) -> None:
        self._plan.set(Faults(breaking_subjects=list(subjects)))

    def lose_reply(self) -> None:
        self._plan.set(Faults(lose_receipt=Fault(count=1)))

    def shut_out(self) -> None:
        self._plan.set(Faults(shut_out=Fault(rate=1.0)))


class Recorder:
    """Stands for the HTTP client: keeps what would go out on the wire, and refuses it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def request(self, method: str, url: str, *, body: bytes, headers: Mapping[str, str], **_: Any) -> Answer:
        self.sent.append(f"{method} {url} {headers}\n".encode() + body)
        return Answer(422, b"")

    async def close(self) -> None: ...


async def recorded(sink: Sink, orders: Sequence[Order]) -> bytes:
    """What a sink that speaks HTTP sends, record by record and all at once."""
    client = sink._client = Recorder()  # type: ignore[attr-defined]  # what it talks through
    for order in orders:
        await sink.send([order])
    if len(orders) > 1:
        with contextlib.suppress(BatchRefusedError):
            await sink.send(orders)
    return b"\n".join(client.sent)


async def written(sink: Sink, orders: Sequence[Order], folder: Path) -> bytes:
    """What a sink leaves in a folder that others read, but for its style sheet."""
    for order in orders:
        await sink.send([order])
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*"))
                      if path.is_file() and path.suffix != ".css")


class FileHarness(Harness):
    """A channel that takes files out of a folder and puts receipts into another."""

    cannot: ClassVar = {
        "answers-at-once": "receipts come as files",
        "batch-refused": "every row of a file is answered by itself",
        "breaks": "nobody answers a file at once: one that its reader breaks on waits without a receipt, others go",
        "lost-reply": "a file has no reply; a receipt file that is lost has a test of its own",
        "unauthorised": "who may write the folder may send",
        "gateway": "nobody stands before a folder",
        "listing": "no file says what is public",
        "secret": "has no secret among its settings",
    }
    standin: FileChannel

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._plan = FaultPlan()

    @abstractmethod
    def _standin(self) -> FileChannel: ...

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.standin = self._standin()
        try:
            yield
        finally:
            self.standin.close()

    def settings(self) -> dict[str, Any]:
        return {"folder": "share", "max_batch": 20, "settle_seconds": 0}

    def answer(self) -> None:
        self.standin.turn()

    async def outgoing(self, sink: Sink, orders: Sequence[Order]) -> bytes:
        with self.running():
            return await written(sink, orders, self.folder / "share")

    def be_down(self, is_down: bool) -> None:
        share, away = self.folder / "share", self.folder / "share-away"
        if is_down:
            share.rename(away)
        else:
            away.rename(share)

    def refuse(self, subjects: Sequence[str]) -> None:
        self._plan.set(Faults(spoiled_subjects=list(subjects)))

    def break_on(self, subjects: Sequence[str]) -> None:
        raise NotImplementedError

    def lose_reply(self) -> None:
        raise NotImplementedError

    def shut_out(self) -> None:
        raise NotImplementedError


class PlatformFilesHarness(FileHarness):
    name = "collaboration-platform-files"
    standin: PlatformFileChannel

    def _standin(self) -> PlatformFileChannel:
        return PlatformFileChannel(self.folder / "share", self.folder, self._plan)

    def public(self) -> dict[str, int]:
        records = self.standin.register.records(channel=CHANNEL)
        return {each["correlation_id"]: each["sequence"] for each in records}

    def publications(self, order_id: str) -> int:
        return self.standin.register.publications_of(order_id)

    def back_up(self) -> Callable[[], None]:
        return keep_database(self.folder / "disclosure.sqlite")



class CreditChinaHarness(FileHarness):
    name = "credit-china"
    has_all = False
    standin: CreditChinaChannel

    def _standin(self) -> CreditChinaChannel:
        return CreditChinaChannel(self.folder / "share", self.folder, self._plan)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "source_code": "623000-market"}

    def public(self) -> dict[str, int]:
        return {record: version_of(row["CF_WSH"]) for record, row in self.standin.register.shown().items()}

    def publications(self, order_id: str) -> int:
        return self.standin.register.publications_of(order_id)

    def back_up(self) -> Callable[[], None]:
        return keep_database(self.folder / "credit-china.sqlite")

    def refuse(self, subjects: Sequence[str]) -> None:
        super().refuse([party_of(subject) for subject in subjects])


class WebsiteHarness(Harness):
    """A folder of pages."""

    name = "government-website"
    cannot: ClassVar = {
        "batch-refused": "a page can hold any record",
        "refusal": "a page can hold any record",
        "breaks": "nobody takes the pages but the folder itself",
        "lost-reply": "nobody answers: what is on disk is done",
        "unauthorised": "who may write the folder may publish",
        "gateway": "nobody stands before a folder",
        "secret": "has no secret among its settings",
    }

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        (self.folder / "site").mkdir(parents=True, exist_ok=True)
        yield

    def settings(self) -> dict[str, Any]:
        return {"folder": "site", "url": "https://www.example.org/credit", "max_batch": 20, "list_entries": 20}

    def _entries(self) -> dict[str, Entry]:
        return {entry.correlation_id: entry for entry in read_entries(self.folder / "site")}

    def public(self) -> dict[str, int]:
        return {name: entry.sequence for name, entry in self._entries().items() if entry.is_public}

    def publications(self, order_id: str) -> int:
        """A page that was written a second time says that it was updated."""
        (entry,) = [each for each in self._entries().values() if each.order_id == order_id]
        return 1 if entry.updated_at == entry.first_published_at else 2

    def back_up(self) -> Callable[[], None]:
        site, kept = self.folder / "site", self.folder / "kept"
        shutil.copytree(site, kept)

        def put_back() -> None:
            shutil.copytree(kept, site, dirs_exist_ok=True)

        return put_back

    async def outgoing(self, sink: Sink, orders: Sequence[Order]) -> bytes:
        with self.running():
            return await written(sink, orders, self.folder / "site")

    def be_down(self, is_down: bool) -> None:
        site, away = self.folder / "site", self.folder / "away"
        (site if is_down else away).rename(away if is_down else site)

    def refuse(self, subjects: Sequence[str]) -> None:
        raise NotImplementedError

    def break_on(self, subjects: Sequence[str]) -> None:
        raise NotImplementedError

    def lose_reply(self) -> None:
        raise NotImplementedError

    def shut_out(self) -> None:
        raise NotImplementedError


class UplinkHarness(Harness):
    """The provincial system."""

    name = "provincial-uplink"
    has_all = False
    cannot: ClassVar = {"listing": "the exchange takes batches and lists nothing"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._plan, self._url = FaultPlan(), ""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with served(create_provincial_system(self.folder, self._plan)) as self._url:
            yield

    def settings(self) -> dict[str, Any]:
        return {"url": self._url, "token": "a-word-of-the-tests", "source_code": "623000-market", "max_batch": 20}

    def public(self) -> dict[str, int]:
        with contextlib.closing(RowRegister(self.folder / "provincial.sqlite")) as register:
            return {record: version_of(row["document_number"]) for record, row in register.shown().items()}

    def publications(self, order_id: str) -> int:
        with contextlib.closing(RowRegister(self.folder / "provincial.sqlite")) as register:
            return register.publications_of(order_id)

    def back_up(self) -> Callable[[], None]:
        return keep_database(self.folder / "provincial.sqlite")

    async def outgoing(self, sink: Sink, orders: Sequence[Order]) -> bytes:
        return await recorded(sink, orders)

    def be_down(self, is_down: bool) -> None:
        self._plan.set(Faults(down=Fault(rate=1.0 if is_down else 0.0)))

    def refuse(self, subjects: Sequence[str]) -> None:
        self._plan.set(Faults(spoiled_subjects=[party_of(subject) for subject in subjects]))

    def break_on(self, subjects: Sequence[str]) -> None:
        self._plan.set(Faults(breaking_subjects=[party_of(subject) for subject in subjects]))

    def lose_reply(self) -> None:
        self._plan.set(Faults(lose_receipt=Fault(count=1)))

    def shut_out(self) -> None:
        self._plan.set(Faults(shut_out=Fault(rate=1.0)))


def version_of(document_number: object) -> int:
    """Of a record of the suite, which has its version in the number of its decision."""
    return int(str(document_number).removeprefix("行政处罚决定书文号"))


def party_of(subject: str) -> str:
    """The name of a subject of the suite: some channels know parties by name alone."""
    return f"合作市{subject.removeprefix('subject-')}有限责任公司"


HARNESSES: tuple[type[Harness], ...] = (
    CollaborationPlatformHarness, PlatformFilesHarness, CreditChinaHarness, WebsiteHarness, UplinkHarness
)
