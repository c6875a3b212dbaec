"""Connectors by name: classes that are loaded when they are first used, and say what settings they have."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from hub.contracts.connector_settings import ConnectorSettings
from hub.errors import ContractError


class Connector(Protocol):
    """What makes a source or a sink: called with its context. ``Settings`` is the model of what the file of
    sources or of endpoints may say to it beside the settings that all of them have."""

    Settings: type[ConnectorSettings]

    def __call__(self, context: Any) -> Any: ...


def load_connector(name: str, known: Mapping[str, str], base: Path | None, example: str) -> Connector:
    """The connector of that name: one of ``known``, ``package.module:Class``, or a file seen from ``base`` as in
    ``example``.

    :raises ContractError: when there is none, or it cannot be loaded.
    """
    target, _, attribute = known.get(name, name).rpartition(":")
    try:
        module = _load_file((base or Path()) / target) if target.endswith(".py") else importlib.import_module(target)
        found = getattr(module, attribute)
    except (ImportError, AttributeError, ValueError, OSError, SyntaxError) as error:
        raise ContractError(
            f"unknown connector {name} ({error}); there are: {', '.join(known)}, package.module:Class and {example}"
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
