"""Manifests that a department puts into the folder of its exports, or into that of a table's manifests:
``manifest-2026-03-02.json`` and, beside it, ``manifest-2026-03-02.json.sig`` with the signature (``v1a,`` and base64 of
ed25519 over the bytes as they are)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from hub.bus.publisher import Publisher
from hub.domain.source_manifest import SourceManifest, lines_digest, parse_manifest
from hub.domain.webhook_keys import VerifyingKey
from hub.errors import InputError
from hub.intake.guards.log import GuardLog, ManifestTaken, manifest_taken

#: Names of manifests and signatures: connectors leave them alone where the source has a key for them.
MANIFEST_NAME = re.compile(r"manifest-(\d{4}-\d\d-\d\d)\.json(\.sig)?", re.ASCII)
#: A manifest without its signature is refused after this.
PATIENCE = timedelta(hours=1)
MAX_BYTES = 4 * 1024 * 1024
log = structlog.get_logger()


class ManifestBox:
    """Of one source; used by its thread. ``now`` gives aware UTC. ``is_of_table``: rows are counted, not files."""

    def __init__(
        self, source: str, folder: Path, key: VerifyingKey, guard_log: GuardLog, publisher: Publisher,
        now: Callable[[], datetime], *, is_of_table: bool = False,
    ) -> None:
        self._is_of_table = is_of_table
        self._source, self._folder, self._key, self._now = source, folder, key, now
        self._log, self._publisher = guard_log, publisher

    def take(self) -> list[ManifestTaken]:
        """Takes what lies there: each manifest is on the log before it moves to ``done/``; what is wrong moves to
        ``refused/`` with the reason beside it. Raises BrokerError, OSError."""
        taken = []
        for path in self._waiting():
            signature = path.with_name(path.name + ".sig")
            try:
                found = self._read(path, signature)
            except InputError as error:
                self._refuse(path, signature, str(error))
                continue
            if found is not None:
                self._publisher.publish([self._log.manifest(found)])
                self._move("done", path, signature, found.manifest_id[:8])
                taken.append(found)
        return taken

    def _waiting(self) -> list[Path]:
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        return [self._folder / name for name in names if MANIFEST_NAME.fullmatch(name) and name.endswith(".json")]

    def _read(self, path: Path, signature: Path) -> ManifestTaken | None:
        """``None`` while its signature has not come."""
        now = self._now()
        if path.is_symlink() or signature.is_symlink() or not path.is_file():
            raise InputError("a link or device, no regular file")
        if not signature.exists():
            if now.timestamp() - path.stat().st_mtime < PATIENCE.total_seconds():
                return None
            raise InputError(f"it has no signature beside it ({signature.name})")
        if max(path.stat().st_size, signature.stat().st_size) > MAX_BYTES:
            raise InputError(f"larger than {MAX_BYTES} bytes")
        content, signed = path.read_bytes(), signature.read_text(errors="replace").strip()
        if not self._key.verify(content, [signed]):
            raise InputError("the signature is not one of these bytes under the key of this source (`v1a,` and base64)")
        manifest = parse_manifest(content, self._source)
        if f"manifest-{manifest.day.isoformat()}.json" != path.name:
            raise InputError(f"date: the name of the file says another day than {manifest.day.isoformat()}")
        self._expect_its_kind(manifest)
        return manifest_taken(manifest, content, signed[:200], now)

    def _expect_its_kind(self, manifest: SourceManifest) -> None:
        if not self._is_of_table:
            if manifest.files is None and manifest.count:
                raise InputError("files: of a folder each file of the day is named, with its SHA-256")
        elif manifest.files:
            raise InputError("files: a table has none; count is the number of its rows")
        elif manifest.digest != lines_digest([]):
            raise InputError("digest: of a table it is that of no bytes, e3b0c442…")

    def _refuse(self, path: Path, signature: Path, reason: str) -> None:
        target = self._move("refused", path, signature, f"{int(path.lstat().st_mtime_ns):x}"[-8:])
        target.with_name(target.name + ".refused.txt").write_text(
            f"文件：{path.name}\n清单未接收：{reason}\n\nRefused: {reason}\n", encoding="utf-8"
        )
        log.warning("manifest refused", source=self._source, file=path.name, reason=reason)

    def _move(self, name: str, path: Path, signature: Path, mark: str) -> Path:
        place = self._folder / name
        place.mkdir(exist_ok=True)
        target = place / path.name
        if target.exists():
            target = place / f"{path.stem}.{mark}{path.suffix}"
        # The manifest moves first: a signature that a kill leaves behind says nothing by itself.
        os.replace(path, target)
        if signature.exists() or signature.is_symlink():
            os.replace(signature, target.with_name(target.name + ".sig"))
        return target
