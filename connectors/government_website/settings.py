"""Settings of a channel that is a government website."""

from __future__ import annotations

from hub.disclosure import ConnectorSettings, SettingsPath, setting


class WebsiteSettings(ConnectorSettings):
    """What the file of endpoints says of a channel."""

    folder: SettingsPath = setting(
        "网页文件夹", "Folder that the web server serves, seen from the folder of this file; it has to be there.",
    )
    url: str = setting(
        "网址", "Where the public finds that folder, e.g. `https://www.example.gov.cn/credit`.",
        pattern=r"^https?://[^\s\"'<>?#]+$", max_length=300,
    )
    site_title: str = setting("网站名称", "Stands at the head of every page.", "涉企信息公示", max_length=60)
    max_batch: int = setting("每批条数", "Records that are written at a time.", 100, ge=1, le=1000)
    feed_entries: int = setting(
        "订阅条目数", "Entries of the feed, and of the newest on the front page.", 50, ge=1, le=500
    )
    list_entries: int = setting("名录每页条数", "Enterprises on one page of the list.", 200, ge=10, le=2000)
