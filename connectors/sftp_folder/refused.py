"""Files of the server that are refused for what they are, without being fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from connectors.sftp_folder.inbox import MOST_NAME_BYTES, Remote
from connectors.sftp_folder.server import Entry
from hub.intake import Batch, Counts, LoggedProblem, Refusal, mask_personal


def refusal_of(entry: Entry, name: str | None, max_bytes: int) -> Refusal | None:
    """Why an entry cannot be taken, or ``None``. ``name`` is its name where that is safe."""
    if name is None:
        shown = entry.name.decode("utf-8", "replace")[:60].encode("unicode_escape").decode()
        return Refusal(
            "unsafe-name",
            f"文件名（{shown}）含有控制字符、路径或无法识别的编码，或超过 {MOST_NAME_BYTES} 字节。请改名后重新上传。",
            f"The name ({shown}) holds control characters or a path, is no text, or has over {MOST_NAME_BYTES} bytes.",
        )
    if not entry.is_file:
        return Refusal(
            "unsafe-name", "这是链接或设备，不是普通文件，拒绝读取。", "A link or device, no regular file: refused."
        )
    if entry.size > max_bytes:
        return Refusal(
            "too-large",
            f"文件过大：{entry.size} 字节，最多 {max_bytes} 字节。请分成几个文件。",
            f"The file has {entry.size} bytes, the limit is {max_bytes}. Split it.",
        )
    return None


class RefusedEntry:
    """A portion without rows. See ``hub.intake.Portion`` for the contract."""

    def __init__(self, remote: Remote, refusal: Refusal, end: Callable[[Remote, str, Refusal], None]) -> None:
        self._remote = remote
        self._refusal = refusal
        self._end = end

    @property
    def identity(self) -> str:
        return f"{self.name}|{self._remote.size}|unread-{self._remote.key}"

    @property
    def name(self) -> str:
        return mask_personal(self._remote.label)

    @property
    def size(self) -> int | None:
        return None

    def batches(self, rows_finished: int) -> Iterator[Batch]:
        raise self._refusal

    def finish(self, counts: Counts, problems: Iterable[LoggedProblem]) -> None:
        raise AssertionError("what is refused has no end of its own")

    def refuse(self, refusal: Refusal) -> None:
        self._end(self._remote, f"unread-{self._remote.key}", refusal)

    def close(self) -> None:
        """Nothing is held open."""
