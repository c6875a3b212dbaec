"""Addresses and secrets of channels and subscriptions: what changes by a click and is not in the map."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from hub.errors import ContractError


class ChannelAddress(BaseModel):
    """Root of the channel's system, and what it knows the hub by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    token: SecretStr | None = None


class SubscriptionAddress(BaseModel):
    """Where the department listens, and the secrets that sign: the newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    secret: SecretStr
    previous_secrets: tuple[SecretStr, ...] = ()


class Endpoints(BaseModel):
    """The file ``endpoints.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: dict[str, ChannelAddress] = {}
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
        faults = [f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ContractError("\n".join([f"{path}:", *faults])) from error
