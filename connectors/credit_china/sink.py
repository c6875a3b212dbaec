"""The sink of 信用中国（甘肃）: 双公示 files out, receipt files in."""

from __future__ import annotations

from connectors.credit_china.settings import CreditChinaSettings
from connectors.credit_china.wire import CreditChinaFormat
from hub.disclosure import FileSink, SinkContext


class CreditChina(FileSink):
    """Penalties and permits as rows of the national templates; see the README for the files."""

    Settings = CreditChinaSettings

    def __init__(self, context: SinkContext) -> None:
        settings: CreditChinaSettings = context.settings
        super().__init__(context, CreditChinaFormat(settings.source_code, settings.encoding, context.fields))
