"""Addresses and secrets of channels and subscriptions: what changes by a click and is not in the map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from hub.errors import ContractError


class SubscriptionAddress(BaseModel):
    """Where the department listens, and the secrets that sign: the newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    secret: SecretStr
    previous_secrets: tuple[SecretStr, ...] = ()


class Endpoints(BaseModel):
    """The file ``endpoints.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Settings of each channel's sink, as the sink reads them; they may hold secrets.
    channels: dict[str, dict[str, Any]] = Field(default={}, repr=False)
    subscriptions: dict[str, SubscriptionAddress] = {}


def load_endpoints(path: Path) -> Endpoints:
    """Reads the file. Raises ContractError naming the file and every fault; secrets are not quoted."""
    try:
        return Endpoints.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise ContractError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not YAML") from error
    except ValidationError as error:
        faults = [
            f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False)
        ]
        raise ContractError("\n".join([f"{path}:", *faults])) from error
