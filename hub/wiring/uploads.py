"""Connects the desks of uploads: one for each source of files whose department has accounts."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog

from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.errors import ContractError, HubError
from hub.intake.build import build_source, source_folder
from hub.intake.sources import SourceConfig, load_sources
from hub.intake.uploads.box import UploadBox
from hub.intake.uploads.contract import UPLOADS, UploadFiles
from hub.intake.uploads.desk import UploadDesk
from hub.intake.uploads.look import Looker
from hub.intake.versions import EventWriter
from hub.settings import Settings
from hub.state.seen_index import SeenIndex
from hub.wiring.parts import open_redis, subject_secret, utc_now

_log = structlog.get_logger()


def read_sources(settings: Settings) -> Mapping[str, SourceConfig]:
    """The sources that intake reads, by name. None where there is no file of them, or it is faulty: see the log."""
    if not settings.sources.exists():
        return {}
    try:
        return load_sources(settings.sources)
    except ContractError as error:
        _log.error("the portal knows no sources: their file cannot be read", error=str(error))
        return {}


def upload_desks(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Mapping[str, tuple[str, UploadDesk]]:
    """By the name of the source, the id of its department and its desk.

    A file of sources that is faulty costs uploads alone, and one source that cannot be made here costs itself: the
    other pages go on, and the console's says what is wrong.
    """
    departments = {str(entry["code"]): name for name, entry in hub_map.departments.items()}
    client, secret = open_redis(settings), subject_secret(settings)
    looks = ThreadPoolExecutor(1, "upload-look")
    desks: dict[str, tuple[str, UploadDesk]] = {}
    for name, config in read_sources(settings).items():
        department = departments.get(config.department_code)
        if department is None:
            continue
        try:
            source = build_source(config, catalog, settings.data)
        except (HubError, OSError) as error:
            _log.error("nothing can be uploaded to a source", source=name, error=str(error))
            continue
        files: UploadFiles | None = getattr(source, "uploads", None)
        if files is None:
            continue
        writer = EventWriter(name, source.target, catalog.schema, secret)
        looker = Looker(writer, SeenIndex(client, name).peek, asks_register=config.identity == "register")
        box = UploadBox(source_folder(settings.data, name) / UPLOADS)
        desks[name] = department, UploadDesk(name, files, looker, box, looks, utc_now)
    return desks
