"""What ``sources.yaml`` may say to the export folder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hub.intake import ConnectorSettings, MappingName, SourcePath, setting


class ExportSettings(ConnectorSettings):
    """How files of exports are read, wherever they lie."""

    mappings: Annotated[list[MappingName], Field(min_length=1)] = setting(
        "模板", "Names of the connector's mappings, or YAML files seen from the folder of this file."
    )
    errors: Literal["xlsx", "csv"] = setting("问题清单格式", "Form of the list of problems: `xlsx` or `csv`.", "xlsx")
    max_file_bytes: Annotated[int, Field(gt=0)] = setting(
        "文件大小上限（字节）", "Larger files are refused; a million rows of an export are about 0.4 GB.", 4 * 1024**3
    )


class ExportFolderSettings(ExportSettings):
    """CSV and XLSX files that a department's system exports into a folder."""

    folder: SourcePath = setting("文件夹", "Where the files arrive, seen from the folder of this file.")
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = setting(
        "静置时间（秒）", "A file must have kept its size and time so long before it is read.", 1.0
    )
