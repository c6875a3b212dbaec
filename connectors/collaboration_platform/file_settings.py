"""Settings of a channel on the collaboration platform that is reached by files."""

from __future__ import annotations

from hub.disclosure import FileExchangeSettings


class PlatformFileSettings(FileExchangeSettings):
    """What the file of endpoints says of a channel."""
