"""The sink of the collaboration platform where it is reached by files instead of HTTP."""

from __future__ import annotations

from connectors.collaboration_platform.file_settings import PlatformFileSettings
from connectors.collaboration_platform.file_wire import PlatformFormat
from hub.disclosure import FileSink, SinkContext


class CollaborationPlatformFiles(FileSink):
    """The same records as by HTTP; the platform answers by receipt files."""

    Settings = PlatformFileSettings

    def __init__(self, context: SinkContext) -> None:
        super().__init__(context, PlatformFormat(context.channel))
