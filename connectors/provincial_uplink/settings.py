"""Settings of the uplink."""

from __future__ import annotations

from pydantic import SecretStr

from hub.disclosure import TIMEOUT_SECONDS, ConnectorSettings, setting


class UplinkSettings(ConnectorSettings):
    """What the file of endpoints says of a channel."""

    url: str = setting("接口地址", "Root of the exchange's interface, `https://…`.")
    source_code: str = setting(
        "数据来源（cd_source）", "Who reports: region and department, e.g. `623000-market`.",
        pattern=r"^[0-9A-Za-z-]{1,40}$",
    )
    token: SecretStr | None = setting("令牌", "What it knows the hub by; better is `token_env`.", None)
    token_env: str | None = setting("令牌的环境变量", "Name of the environment variable with the token.", None)
    timeout_seconds: float = setting(
        "超时（秒）", "No whole answer within this is a failure; the batch is sent again.", TIMEOUT_SECONDS,
        gt=0, le=120,
    )
    max_batch: int = setting("每批条数", "Rows of one batch at most.", 100, ge=1, le=1000)
    first_batch: int = setting(
        "首个批号", "What a day's numbers begin with; higher where the folder with the ledger was lost.", 1,
        ge=1, le=99_999,
    )
