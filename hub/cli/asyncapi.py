"""``hub asyncapi``: the topics and webhooks as an AsyncAPI 3 document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub import wiring
from hub.cli.common import Data, errors_as_sentences, settings_of
from hub.contracts.asyncapi_text import to_json_text, to_yaml_text
from hub.errors import UsageError


def asyncapi(
    as_json: Annotated[bool, typer.Option("--json", help="JSON")] = False,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="YAML（默认） / the default")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="写入文件 / write to this file")] = None,
    data: Data = None,
) -> None:
    """Every topic with its schema, readers and writers, and the webhooks, as AsyncAPI; Kafka is not asked."""
    with errors_as_sentences():
        if as_json and as_yaml:
            raise UsageError("Name one of --json and --yaml.")
        settings = settings_of(data)
        catalog = wiring.open_catalog(settings)
        document = wiring.asyncapi_document(settings, wiring.open_map(settings, catalog), catalog)
        text = to_json_text(document) if as_json else to_yaml_text(document)
        if output is None:
            typer.echo(text, nl=False)
            return
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{output}: {error.strerror}") from error
