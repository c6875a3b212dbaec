"""Settings of a channel on the collaboration platform."""

from __future__ import annotations

from pydantic import SecretStr

from hub.disclosure import TIMEOUT_SECONDS, ConnectorSettings, setting


class PlatformSettings(ConnectorSettings):
    """What the file of endpoints says of a channel."""

    url: str = setting("接口地址", "Root of the platform's interface, `https://…`.")
    token: SecretStr | None = setting("令牌", "What it knows the hub by; better is `token_env`.", None)
    token_env: str | None = setting("令牌的环境变量", "Name of the environment variable with the token.", None)
    timeout_seconds: float = setting(
        "超时（秒）", "No whole answer within this is a failure; the order is sent again.", TIMEOUT_SECONDS,
        gt=0, le=120,
    )
    max_batch: int = setting(
        "每批条数", "Records of one request; `1` sends each by itself.", 50, ge=1, le=100
    )
    max_concurrent: int = setting("并发请求数", "Requests at a time.", 8, ge=1, le=64)
