"""The source: files of a folder, each a portion, read by the mapping whose headings it has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from connectors.export_folder.archive import Archive
from connectors.export_folder.file import MAPPINGS, ExportFile, FileSource, is_an_export
from connectors.export_folder.moving import give_back
from connectors.export_folder.settings import ExportFolderSettings
from connectors.export_folder.settling import Settling
from connectors.export_folder.uploads import Uploads
from hub.intake import MANIFEST_NAME, InputError, Refusal, SourceContext

__all__ = ["MAPPINGS", "ExportFolder"]


class ExportFolder(FileSource):
    """Reads what lies in the source's folder. See ``hub.intake.Source`` for the contract."""

    Settings = ExportFolderSettings

    def __init__(self, context: SourceContext) -> None:
        settings = context.config.settings
        assert isinstance(settings, ExportFolderSettings)
        super().__init__(context, settings.mappings)
        self._settings = settings
        self._settling = Settling(settings.settle_seconds, trusts_times=True)
        self._archive = Archive(settings.errors)
        self.uploads = Uploads(context, settings, self._mappings.values())

    def portions(self) -> Iterator[ExportFile]:
        """Files that nobody writes any more, oldest first, then what was uploaded. A folder that is missing is made."""
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        give_back(self._settings.folder)
        waiting = self._waiting()
        self._settling.keep(waiting)
        for path in waiting:
            if self._is_settled(path):
                yield self._file(path)
        yield from self.uploads.waiting()

    def waits(self) -> bool:
        return bool(self._waiting() or self.uploads.waiting())

    def check(self) -> list[str]:
        """The folder, and the headings of every file in it; nothing is moved or published."""
        if not self._settings.folder.is_dir():
            return [f"folder {self._settings.folder} is missing"]
        found = []
        for path in self._waiting():
            portion = self._file(path)
            try:
                portion.open()
            except Refusal as refusal:
                found.append(f"{path.name}: {refusal}")
            except (OSError, InputError) as error:
                found.append(f"{path.name}: {error}")
            finally:
                portion.close()
        return found

    @property
    def manifest_folder(self) -> Path:
        """Where manifests of the day lie: among the files."""
        return self._settings.folder

    def close(self) -> None:
        """Nothing is held open between files."""

    def _waiting(self) -> list[Path]:
        try:
            entries = list(os.scandir(self._settings.folder))
        except FileNotFoundError:
            return []
        files = []
        for entry in entries:
            name = entry.name
            if not is_an_export(name):
                continue
            if self._context.config.manifest_key is not None and MANIFEST_NAME.fullmatch(name):
                continue  # the hub takes it
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(status.st_mode):
                files.append((status.st_mtime_ns, name))
        return [self._settings.folder / name for _, name in sorted(files)]

    def _file(self, path: Path) -> ExportFile:
        return ExportFile(path, self._context, self._settings, self._mappings.values(), self._archive)

    def _is_settled(self, path: Path) -> bool:
        try:
            status = path.lstat()
        except FileNotFoundError:
            return False
        return self._settling.is_settled(path, status.st_size, status.st_mtime_ns)
