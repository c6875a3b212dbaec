"""Settings of a channel that is served by 双公示 files."""

from __future__ import annotations

from typing import Literal

from hub.disclosure import FileExchangeSettings, setting


class CreditChinaSettings(FileExchangeSettings):
    """What the file of endpoints says of a channel."""

    source_code: str = setting(
        "数据来源（cd_source）", "Who sends, as the exchange knows it: region and department, e.g. `623000-market`.",
        pattern=r"^[0-9A-Za-z-]{1,40}$",
    )
    encoding: Literal["utf-8-sig", "gb18030"] = setting(
        "文件编码", "Of the files that are written: `utf-8-sig` (which Excel recognises) or `gb18030`.", "utf-8-sig"
    )
