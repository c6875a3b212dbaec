"""The source: files of a folder on an SFTP server, fetched whole and read as those of the export folder are."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import structlog

from connectors.export_folder.archive import write_refusal, write_report
from connectors.export_folder.file import ExportFile, FileSource, is_an_export
from connectors.export_folder.settling import Settling
from connectors.export_folder.uploads import Uploads
from connectors.sftp_folder.inbox import Fetched, Inbox, Remote, name_of
from connectors.sftp_folder.manifests import MOST_MANIFEST_BYTES, Manifests, is_manifest
from connectors.sftp_folder.outbox import Outbox, Told
from connectors.sftp_folder.refused import RefusedEntry, refusal_of
from connectors.sftp_folder.server import Entry, RefusedError, Server
from connectors.sftp_folder.settings import SftpFolderSettings
from hub.intake import ContractError, Counts, InfrastructureError, InputError, LoggedProblem, Refusal, SourceContext

#: One connection fetches no longer and no more than this before what came is read: a process that is to end
#: must not wait for gigabytes, and the disk must not fill ahead of the reading.
_TURN_SECONDS = 10.0
_TURN_FILES = 100
_TURN_BYTES = 1 << 30
#: Files that ``check`` fetches to look at their headings, and how large they may be.
_TRIED, _TRIED_BYTES = 5, 32 << 20
_BEIJING = timezone(timedelta(hours=8))
_log = structlog.get_logger()


class SftpFolder(FileSource):
    """Reads a folder of an SFTP server. See ``hub.intake.Source`` for the contract.

    The connection is closed before a file is read, so that a slow broker does not hold the department's server.
    """

    Settings = SftpFolderSettings

    def __init__(self, context: SourceContext) -> None:
        settings = context.config.settings
        assert isinstance(settings, SftpFolderSettings)
        super().__init__(context, settings.mappings)
        self._settings = settings
        self.uploads = Uploads(context, settings, self._mappings.values())
        self._server = Server(settings)
        self._inbox = Inbox(context.folder)
        self._told = Told(context.folder)
        self._outbox = Outbox(context.folder, settings, self._told)
        self._manifests: Manifests | None = None
        if context.config.manifest_key is not None:
            self._manifests = Manifests(context.folder, self._inbox, self._outbox)
        self._settling = Settling(settings.settle_seconds, trusts_times=False)
        self._next_at = 0.0
        self._is_settling = self._has_more = False
        self._faulty: dict[Remote, str] = {}
        self._refused: list[Entry] = []

    def portions(self) -> Iterator[ExportFile | RefusedEntry]:
        """What was uploaded, what lies here of the last time, then what the server has that nobody writes any more."""
        yield from self.uploads.waiting()
        if self._manifests is not None:
            self._manifests.give()  # what a kill left fetched
            self._manifests.end()
        yield from self._here()
        while self._outbox.has_news or self._has_more or time.monotonic() >= self._next_at:
            self._look()
            is_nothing = not self._refused and not self._fetched()
            yield from self._here()
            if is_nothing and not self._outbox.has_news:
                return

    def waits(self) -> bool:
        is_here = bool(self._fetched() or self.uploads.waiting())
        return self._is_settling or self._has_more or self._outbox.has_news or is_here

    def check(self) -> list[str]:
        """Login, folder, and the headings of the first files; nothing is moved, kept or published."""
        found = []
        try:
            entries = self._wanted(self._server.entries())
            for entry in entries:
                if refusal := self._refusal(entry):
                    found.append(f"{Remote(*entry[:3]).label}: {refusal}")
            tried = [entry for entry in entries if not self._is_manifest(entry.name) and entry.size <= _TRIED_BYTES]
            fit = [entry for entry in tried if not self._refusal(entry)][:_TRIED]
            with tempfile.TemporaryDirectory() as folder:
                for entry in fit:
                    found += self._try(Remote(*entry[:3]), Path(folder))
        except (InfrastructureError, ContractError) as error:
            found.append(str(error))
        finally:
            self.close()
        return found

    @property
    def manifest_folder(self) -> Path | None:
        """Where manifests of the day lie that were fetched, where the department signs such."""
        return self._manifests.folder if self._manifests is not None else None

    def close(self) -> None:
        self._server.close()

    def _look(self) -> None:
        """Gives back what is to be given back, and fetches what is ready, in one connection."""
        self._has_more, self._refused = False, []
        try:
            self._outbox.deliver(self._server)
            self._fetch(self._ready())
            if self._manifests is not None:
                self._manifests.give()
        finally:
            self._server.close()
        wait = self._settings.every_seconds
        self._next_at = time.monotonic() + (min(wait, self._settings.settle_seconds) if self._is_settling else wait)

    def _ready(self) -> list[Entry]:
        """Files that are not told yet and that nobody writes any more, oldest first."""
        wanted = self._wanted(self._server.entries())
        remotes = {entry: Remote(*entry[:3]) for entry in wanted}
        self._told.keep({entry.name for entry in wanted})
        self._settling.keep([entry.name for entry in wanted])
        self._inbox.keep({remote.key for remote in remotes.values()})
        self._faulty = {remote: why for remote, why in self._faulty.items() if remote in remotes.values()}
        told = self._told.has(list(remotes.values())) | {item.remote for item in self._inbox.whole()}
        fresh = [entry for entry in wanted if remotes[entry] not in told]
        ready = [entry for entry in fresh if self._settling.is_settled(entry.name, entry.size, entry.changed * 10**9)]
        self._is_settling = len(ready) < len(fresh)
        return ready

    def _wanted(self, entries: Iterable[Entry]) -> list[Entry]:
        """All but folders, hidden files, our own, and what another program says that it is writing. A name with a
        path in it is nobody's file: to touch it would be to touch something else."""
        wanted = []
        for entry in entries:
            if entry.is_folder or not is_an_export(entry.name.decode("utf-8", "replace")):
                continue
            if b"/" in entry.name or b"\0" in entry.name:
                _log.warning("the server names a file with a path in it; left alone", source=self.name)
                continue
            wanted.append(entry)
        return sorted(wanted, key=lambda entry: (entry.changed, entry.name))

    def _refusal(self, entry: Entry) -> Refusal | None:
        most = self._settings.max_file_bytes
        if self._is_manifest(entry.name):
            most = min(most, MOST_MANIFEST_BYTES)
        return refusal_of(entry, name_of(entry.name), most)

    def _is_manifest(self, name: bytes) -> bool:
        """Whether the hub takes it: a file of that name, where the department signs manifests."""
        return self._manifests is not None and is_manifest(name.decode("utf-8", "replace"))

    def _fetched(self) -> list[Fetched]:
        """Exports that are here, to be read."""
        return [item for item in self._inbox.whole() if not self._is_manifest(item.remote.name)]

    def _fetch(self, entries: list[Entry]) -> None:
        until, taken = time.monotonic() + _TURN_SECONDS, 0
        for number, entry in enumerate(entries):
            if self._refusal(entry):
                self._refused.append(entry)
                continue
            if number >= _TURN_FILES or taken >= _TURN_BYTES or (taken and time.monotonic() >= until):
                self._has_more = True
                return
            remote = Remote(*entry[:3])
            try:
                progress = self._inbox.fetch(self._server, remote, until)
            except RefusedError as error:  # this one file; the others go on
                if self._faulty.get(remote) != str(error):
                    _log.warning("a file cannot be fetched; trying again", source=self.name, reason=str(error))
                self._faulty[remote] = str(error)
                continue
            taken += entry.size
            self._is_settling |= progress == "changed"
            if progress == "partly":
                self._has_more = True
                return

    def _here(self) -> Iterator[ExportFile | RefusedEntry]:
        """Portions of what is here."""
        while self._refused:
            entry = self._refused.pop(0)
            refusal = self._refusal(entry)
            assert refusal is not None
            yield RefusedEntry(Remote(*entry[:3]), refusal, self.end_refused)
        for item in self._fetched():
            ending = _Ending(self, item)
            yield ExportFile(item.path, self._context, self._settings, self._mappings.values(), ending)

    def end_refused(self, remote: Remote, sha256: str, refusal: Refusal) -> None:
        """A file cannot be taken."""
        self._outbox.add(
            remote, "refused", sha256, lambda path: write_refusal(_dated(path, remote), remote.label, sha256, refusal)
        )
        self._inbox.drop(remote)

    def end_finished(
        self, item: Fetched, file: ExportFile, kind: str, counts: Counts, problems: Iterable[LoggedProblem]
    ) -> None:
        """A file was read to its end."""
        self._outbox.add(
            item.remote, "archive", file.sha256,
            lambda path: write_report(_dated(path, item.remote), file, kind, counts, problems, self._settings.errors),
        )  # fmt: skip
        self._inbox.drop(item.remote)

    def _try(self, remote: Remote, folder: Path) -> list[str]:
        inbox = Inbox(folder)
        try:
            if inbox.fetch(self._server, remote, float("inf")) != "whole":
                return []
        except RefusedError as error:
            return [str(error)]
        (item,) = inbox.whole()
        file = ExportFile(item.path, self._context, self._settings, self._mappings.values(), _Ending(self, item))
        try:
            file.open()
        except (Refusal, InputError, OSError) as error:
            return [f"{remote.label}: {error}"]
        finally:
            file.close()
            inbox.drop(remote)
        return []


class _Ending:
    """What becomes of a fetched file: see ``connectors.export_folder.file.Ending``."""

    def __init__(self, source: SftpFolder, item: Fetched) -> None:
        self._source = source
        self._item = item

    def finished(self, file: ExportFile, kind: str, counts: Counts, problems: Iterable[LoggedProblem]) -> None:
        if self._item.path.exists():  # else it was finished before
            self._source.end_finished(self._item, file, kind, counts, problems)

    def refused(self, file: ExportFile, refusal: Refusal) -> None:
        self._source.end_refused(self._item.remote, file.sha256, refusal)


def _dated(path: Path, remote: Remote) -> Path:
    """Where the reports of this state of a file go: a later one under the same name has reports of its own."""
    return path.with_name(f"{path.name}.{datetime.fromtimestamp(remote.changed, _BEIJING):%Y%m%d-%H%M%S}")
