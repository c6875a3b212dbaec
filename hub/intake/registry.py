"""Connectors by name: loaded when first used, and asked what settings they have."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from hub.errors import ContractError
from hub.intake.settings import ConnectorSettings

#: Connectors that the hub brings along. Others are named ``package.module:Class`` or, for a file beside
#: ``sources.yaml``, ``folder/source.py:Class``.
CONNECTORS: Mapping[str, str] = {
    "export-folder": "connectors.export_folder.source:ExportFolder",
    "sql": "connectors.sql.source:SqlSource",
    "lead-feed": "connectors.lead_feed.source:LeadFeed",
}


class Connector(Protocol):
    """What makes a source: called with its ``SourceContext``. ``Settings`` is the model of what
    ``sources.yaml`` may say to it beside the settings that all sources have."""

    Settings: type[ConnectorSettings]

    def __call__(self, context: Any) -> Any: ...


def find_connector(name: str, base: Path | None = None) -> Connector:
    """The connector of that name; files are seen from ``base``, the folder of ``sources.yaml``.

    :raises ContractError: when there is none, or it cannot be loaded.
    """
    target, _, attribute = CONNECTORS.get(name, name).rpartition(":")
    try:
        module = _load_file((base or Path()) / target) if target.endswith(".py") else importlib.import_module(target)
        found = getattr(module, attribute)
    except (ImportError, AttributeError, ValueError, OSError, SyntaxError) as error:
        raise ContractError(
            f"unknown connector {name} ({error}); there are: {', '.join(CONNECTORS)}, "
            "package.module:Class and folder/file.py:Class"
        ) from error
    if not (isinstance(getattr(found, "Settings", None), type) and issubclass(found.Settings, ConnectorSettings)):
        raise ContractError(f"connector {name}: {attribute} has no class Settings(ConnectorSettings)")
    return cast(Connector, found)


def _load_file(path: Path) -> ModuleType:
    path = path.resolve(strict=True)
    name = f"hub_connector_{hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Models resolve their annotations by the module's name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
