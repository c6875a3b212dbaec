"""The SFTP server, as a blocking program sees it: one connection, made when it is needed.

asyncssh speaks in coroutines; each call here runs its loop until the answer is there. Names are bytes, as the
protocol has them: what they mean in letters is not for the server to say.
"""

from __future__ import annotations

import asyncio
import logging
import posixpath
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import asyncssh

from connectors.sftp_folder.settings import FINGERPRINT, SftpFolderSettings
from hub.intake import ContractError, InfrastructureError

#: Names in one folder beyond are no exports; a listing is held in memory.
MOST_ENTRIES = 100_000
_T = TypeVar("_T")
# It tells every connection at "info"; that a source is read is said by the hub.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


class ServerError(InfrastructureError):
    """The SFTP server did not answer as it should; trying again may help."""


class RefusedError(ServerError):
    """The server is there and does not do this one thing."""


class Entry(NamedTuple):
    """A name in a folder. ``changed`` is in seconds since 1970, by the server's clock."""

    name: bytes
    size: int
    changed: int
    is_folder: bool
    is_file: bool


class Server:
    """Used by one thread. Everything raises ``ServerError`` where the server is not to be reached, is not the
    one that it should be, or goes away; ``RefusedError`` where it says no. Both name the server."""

    def __init__(self, settings: SftpFolderSettings) -> None:
        self._settings = settings
        self._name = f"{settings.host}:{settings.port}"
        self._runner: asyncio.Runner | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._key: asyncssh.SSHKey | None = None

    def path(self, *parts: str | bytes) -> bytes:
        """A path below the folder that is read; a part that begins with ``/`` stands for itself."""
        coded = [part if isinstance(part, bytes) else part.encode() for part in parts]
        return posixpath.join(self._settings.path.encode(), *coded)

    def entries(self) -> list[Entry]:
        """What lies in the folder, in no order."""

        async def work(sftp: asyncssh.SFTPClient) -> list[Entry]:
            found: list[Entry] = []
            async for item in sftp.scandir(self.path()):
                name = item.filename if isinstance(item.filename, bytes) else item.filename.encode()
                if name not in (b".", b".."):
                    found.append(_entry(name, item.attrs))
                if len(found) > MOST_ENTRIES:
                    raise ServerError(f"{self._name}: {what} has over {MOST_ENTRIES} entries")
            return found

        what = f"the folder {self._settings.path}"
        return self._run(work, what)

    def look(self, path: bytes) -> Entry | None:
        """What lies at that path, or ``None``; a link is not followed."""

        async def work(sftp: asyncssh.SFTPClient) -> Entry | None:
            try:
                return _entry(posixpath.basename(path), await sftp.lstat(path))
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return None

        return self._run(work, _shown(path))

    @contextmanager
    def reading(self, path: bytes) -> Iterator[Callable[[int, int], bytes]]:
        """Opens a file; ``read(offset, size)`` gives so many bytes, fewer only at its end."""

        async def opened(sftp: asyncssh.SFTPClient) -> asyncssh.SFTPClientFile:
            return await sftp.open(path, "rb")

        file = self._run(opened, _shown(path))

        def read(offset: int, size: int) -> bytes:
            async def work(_: asyncssh.SFTPClient) -> bytes:
                found = await file.read(size, offset)
                assert isinstance(found, bytes)  # it was opened so
                return found

            return self._run(work, _shown(path), is_new=False)

        async def closed(_: asyncssh.SFTPClient) -> None:
            await file.close()

        try:
            yield read
        finally:
            with suppress(ServerError):  # a connection that is gone took the handle with it
                self._run(closed, _shown(path), is_new=False)

    def put(self, local: Path, path: bytes) -> None:
        """Writes a file under another name and then gives it its own, so that nobody reads half of it."""
        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, b"." + name + b".tmp")

        async def work(sftp: asyncssh.SFTPClient) -> None:
            await sftp.makedirs(folder, exist_ok=True)
            async with sftp.open(temporary, "wb") as file:
                with local.open("rb") as content:
                    while chunk := content.read(1 << 20):
                        await self._within(file.write(chunk))
            await _rename(sftp, temporary, path)

        self._run(work, _shown(path), is_long=True)

    def move(self, source: bytes, target: bytes) -> None:
        """Gives a file another place; the folder is made. Never onto another file."""

        async def work(sftp: asyncssh.SFTPClient) -> None:
            await sftp.makedirs(posixpath.dirname(target), exist_ok=True)
            await sftp.rename(source, target)

        self._run(work, f"{_shown(source)} to {_shown(target)}")

    def close(self) -> None:
        """Ends the connection; may be called twice, and the next call makes another."""
        self._drop()
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _run(
        self, work: Callable[[asyncssh.SFTPClient], Awaitable[_T]], what: str, *, is_new: bool = True,
        is_long: bool = False,
    ) -> _T:  # fmt: skip
        """``is_new`` lets a connection be made where there is none; ``is_long`` is for work that bounds its own
        steps in time."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        if self._sftp is None and not is_new:
            raise ServerError(f"{self._name}: the connection was lost")
        try:
            if self._sftp is None:
                self._runner.run(self._connect())
            assert self._sftp is not None
            return self._runner.run(self._whole(work(self._sftp)) if is_long else self._within(work(self._sftp)))
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as error:
            self._drop()
            raise ServerError(f"{self._name}: the connection was lost ({error.reason})") from None
        except asyncssh.SFTPError as error:
            raise RefusedError(f"{self._name}: {what}: {error.reason or type(error).__name__}") from None
        except TimeoutError:
            self._drop()
            raise ServerError(f"{self._name}: no answer in time ({what})") from None
        except (OSError, asyncssh.Error) as error:
            self._drop()
            raise ServerError(f"{self._name}: {error}") from None

    async def _whole(self, work: Awaitable[_T]) -> _T:
        return await work

    async def _within(self, work: Awaitable[_T]) -> _T:
        async with asyncio.timeout(self._settings.answer_seconds):
            return await work

    async def _connect(self) -> None:
        settings, offered = self._settings, list[str]()
        fingerprints = {key for key in settings.host_key if FINGERPRINT.fullmatch(key)}
        trusted = [asyncssh.import_public_key(key) for key in settings.host_key if key not in fingerprints]

        class Client(asyncssh.SSHClient):
            def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
                offered.append(key.get_fingerprint())
                return offered[-1] in fingerprints

        # Opening a sealed key takes a second, on purpose of those who sealed it: once is enough.
        self._key = key = self._key or private_key(settings)
        try:
            async with asyncio.timeout(settings.connect_seconds):
                # Nothing of this machine's own files or agent has a say in whom we trust and who we are.
                self._connection, _ = await asyncssh.create_connection(
                    Client, settings.host, settings.port, username=settings.user, config=None, agent_path=None,
                    known_hosts=(trusted, [], []), client_keys=[key] if key else None,
                    password=settings.secret("password"), x509_trusted_certs=None, keepalive_interval=15,
                    preferred_auth="publickey" if key and not settings.secret("password") else
                    "publickey,password,keyboard-interactive",
                )  # fmt: skip
                self._sftp = await self._connection.start_sftp_client()
        except asyncssh.HostKeyNotVerifiable:
            shown = f"the fingerprint {offered[0]}" if offered else "another key"
            raise ServerError(
                f"{self._name}: 主机密钥不符，未登录 / unknown host key: the server shows {shown}, which host_key does "
                "not name. Ask the department which is right before you change host_key"
            ) from None
        except asyncssh.PermissionDenied:
            ways = "the private key" if key else "the password"
            raise ServerError(f"{self._name}: login refused: it does not take {ways} of {settings.user}") from None
        except TimeoutError:
            raise ServerError(f"{self._name}: no login within {settings.connect_seconds:g} s") from None

    def _drop(self) -> None:
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None and self._runner is not None:
            connection.abort()
            with suppress(OSError, asyncssh.Error):
                self._runner.run(connection.wait_closed())


def private_key(settings: SftpFolderSettings) -> asyncssh.SSHKey | None:
    """The key to log in with. Raises ``ContractError`` for one that cannot be read."""
    try:
        if settings.key_file is not None:
            return asyncssh.read_private_key(settings.key_file, settings.secret("passphrase"))
        text = settings.secret("key")
        return asyncssh.import_private_key(text, settings.secret("passphrase")) if text is not None else None
    except OSError as error:
        raise ContractError(f"key_file: {settings.key_file} cannot be read: {error.strerror}") from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
        raise ContractError("the private key cannot be read: wrong form, or a passphrase that fails") from None


async def _rename(sftp: asyncssh.SFTPClient, source: bytes, target: bytes) -> None:
    """Over what lies there. A server without the extension of OpenSSH has to be told to remove it first."""
    try:
        await sftp.posix_rename(source, target)
    except asyncssh.SFTPOpUnsupported:
        with suppress(asyncssh.SFTPNoSuchFile):
            await sftp.remove(target)
        await sftp.rename(source, target)


def _entry(name: bytes, attributes: asyncssh.SFTPAttrs) -> Entry:
    return Entry(
        name, attributes.size or 0, int(attributes.mtime or 0),
        attributes.type == asyncssh.FILEXFER_TYPE_DIRECTORY, attributes.type == asyncssh.FILEXFER_TYPE_REGULAR,
    )  # fmt: skip


def _shown(path: bytes) -> str:
    """A path for people: nothing in it can break a line."""
    text = path.decode("utf-8", "replace")[-200:]
    return text if text.isprintable() else text.encode("unicode_escape").decode()
