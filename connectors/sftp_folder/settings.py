"""What ``sources.yaml`` may say to the SFTP folder."""

from __future__ import annotations

import re
from typing import Annotated

import asyncssh
from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.export_folder.settings import ExportSettings
from hub.intake import SourcePath, setting

#: A fingerprint as ``ssh-keygen -lf`` prints it.
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class SftpFolderSettings(ExportSettings):
    """Files of exports in a folder of an SFTP server."""

    host: Annotated[str, Field(min_length=1, pattern=r"^\S+$")] = setting("主机", "Name or address of the server.")
    port: Annotated[int, Field(ge=1, le=65535)] = setting("端口", "Its port.", 22)
    user: Annotated[str, Field(min_length=1)] = setting("用户", "Who logs in.")
    host_key: Annotated[list[str], Field(min_length=1)] = setting(
        "主机密钥",
        "The server's host keys: `ssh-ed25519 AAAA…`, or fingerprints `SHA256:…`. Ask the department for them by "
        "another way than the network; a server with another key is not talked to.",
    )
    password: SecretStr | None = setting("密码", "The password itself; better is `password_env`.", None)
    password_env: str | None = setting("密码的环境变量", "Name of the environment variable with the password.", None)
    key_file: SourcePath | None = setting(
        "私钥文件", "File of the private key with which the hub logs in, seen from the folder of this file.", None
    )
    key: SecretStr | None = setting("私钥", "The private key itself; better is `key_env` or `key_file`.", None)
    key_env: str | None = setting("私钥的环境变量", "Name of the environment variable with the private key.", None)
    passphrase: SecretStr | None = setting("私钥口令", "What the private key is sealed with.", None)
    passphrase_env: str | None = setting("私钥口令的环境变量", "Name of the environment variable with it.", None)
    path: Annotated[str, Field(min_length=1)] = setting(
        "服务器上的文件夹", "Where the files arrive, seen from the folder after login; a leading `/` names it whole."
    )
    archive: str | None = setting(
        "已读文件夹",
        "Folder on the server to which files move that were read, seen from `path`; unless set they stay, and the "
        "hub remembers them.",
        None,
    )
    refused: str | None = setting(
        "退回文件夹", "The same for files that cannot be taken; unless set they stay.", None
    )
    reports: str | None = setting(
        "问题清单文件夹",
        "Folder on the server for reports and lists of problems, seen from `path`; unless set, `path` itself.",
        None,
    )
    every_seconds: Annotated[float, Field(gt=0)] = setting("查看间隔（秒）", "How often the folder is looked at.", 60.0)
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = setting(
        "静置时间（秒）",
        "A file must have kept its size and time so long, as two looks show it, before it is fetched.",
        10.0,
    )
    connect_seconds: Annotated[float, Field(gt=0, le=300)] = setting(
        "连接超时（秒）", "No login within this is a failure; it is tried again.", 15.0
    )
    answer_seconds: Annotated[float, Field(gt=0, le=3600)] = setting(
        "应答超时（秒）", "A server that does not answer so long is given up; a transfer goes on where it was.", 60.0
    )

    @field_validator("host_key")
    @classmethod
    def _are_keys(cls, keys: list[str]) -> list[str]:
        for number, key in enumerate(keys, 1):
            if FINGERPRINT.fullmatch(key):
                continue
            try:
                asyncssh.import_public_key(key)
            except (asyncssh.KeyImportError, ValueError):
                said = f"number {number} is neither `ssh-ed25519 AAAA…` nor a fingerprint `SHA256:…`"
                raise ValueError(said) from None
        return keys

    @model_validator(mode="after")
    def _fits_together(self) -> SftpFolderSettings:
        faults = []
        ways = {
            "password": (self.password, self.password_env), "key": (self.key, self.key_env, self.key_file),
            "passphrase": (self.passphrase, self.passphrase_env),
        }  # fmt: skip
        given = {name: sum(value is not None for value in values) for name, values in ways.items()}
        faults += [f"{name} is given in more than one way" for name, count in given.items() if count > 1]
        if not given["password"] and not given["key"]:
            faults.append("give a password (password_env) or a private key (key_file, key_env)")
        if given["passphrase"] and not given["key"]:
            faults.append("passphrase is for a private key, and there is none")
        for name in ("archive", "refused"):
            folder = getattr(self, name)
            if folder is not None and folder.strip("/. ") in ("", self.path.strip("/. ")):
                faults.append(f"{name} is the folder that is read")
        if faults:
            raise ValueError("; ".join(faults))
        return self
