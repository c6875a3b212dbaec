"""``sources.yaml``: which department's system is read, from where, by which connector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny, StringConstraints

from hub.contracts.connectors import Connector
from hub.domain.facts import OWN_SYSTEM, Way
from hub.domain.silence import Rhythm
from hub.domain.webhook_keys import parse_public
from hub.errors import ContractError, InputError
from hub.intake.registry import find_connector
from hub.intake.settings import ConnectorSettings, parse_settings, setting

#: Also part of event sources, Redis keys and file names, hence the narrow alphabet.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]


def _is_rhythm(text: str) -> str:
    return Rhythm.parse(text).text


def _is_public_key(text: str) -> str:
    try:
        parse_public(text)
    except InputError as error:
        raise ValueError(str(error)) from None
    return text


#: ``daily`` or a number of hours.
RhythmText = Annotated[str, AfterValidator(_is_rhythm)]
ManifestKey = Annotated[str, AfterValidator(_is_public_key)]


class CommonSettings(BaseModel):
    """What every source has, whatever reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = setting("名称", "Lower case with hyphens; part of every event's source, so it stays once used.")
    connector: str = setting(
        "连接器",
        "Which connector reads it: one that the hub brings along, `package.module:Class`, or "
        "`folder/file.py:Class` seen from the folder of this file.",
        "export-folder",
    )
    department_code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}$")] = setting(
        "部门代码", "USCC of the department that answers for the data."
    )
    department_name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = setting(
        "部门名称", "Its name."
    )
    region_code: Annotated[str, StringConstraints(pattern=r"^\d{6}$")] = setting(
        "行政区划", "Its region (GB/T 2260), six digits."
    )
    check_digit: Literal["warn", "refuse"] = setting(
        "校验码",
        "A code of the right form whose check digit fails: `warn` takes the row and tells the sender, "
        "`refuse` rejects it.",
        "warn",
    )
    identity: Literal["as-given", "register"] = setting(
        "主体识别",
        "A row without a valid code of its enterprise: `as-given` takes it under its name, `register` asks the "
        "register of enterprises who is meant, and lets a person decide where that is not certain.",
        "as-given",
    )
    way: Way = setting(
        "报送途径",
        "By which way it reports: `own-system` of the department, `provincial` (the province's “Internet + "
        "supervision” system), `collaboration-platform` (协管平台) or `national`. Where two sources report one fact, "
        "the map's `precedence` goes by it.",
        OWN_SYSTEM,
    )
    rhythm: RhythmText | None = setting(
        "报送频率",
        "How often it has to say something: `daily` (on every working day) or hours like `6h`. Beyond that its "
        "silence raises an alert; without it, none.",
        None,
    )
    manifest_key: ManifestKey | None = setting(
        "清单公钥",
        "Key `whpk_…` (ed25519) by which its department signs what it sent on a day. With it a manifest of every "
        "working day is expected, in the folder of the source or, of a table, in `manifests`. A connector that has no "
        "such place refuses it.",
        None,
    )


class SourceConfig(CommonSettings):
    """One department's system: the common settings, and ``settings``, those of its connector.

    In ``sources.yaml`` both stand side by side; ``of`` takes them apart.
    """

    settings: SerializeAsAny[ConnectorSettings]
    #: Folder of ``sources.yaml``, from which a connector's file is seen.
    base: Annotated[Path | None, Field(exclude=True)] = None

    @classmethod
    def of(cls, data: Mapping[str, Any], base: Path | None = None) -> SourceConfig:
        """A source as an entry of ``sources.yaml`` says it; paths are seen from ``base``.

        :raises ContractError: naming every fault, common or of the connector.
        """
        config, faults = cls.parse(data, base)
        if config is None:
            raise ContractError("\n".join(faults))
        return config

    def flat(self) -> dict[str, Any]:
        """As an entry of ``sources.yaml`` has it, with defaults; secrets masked. JSON's words alone."""
        return {
            **self.model_dump(mode="json", exclude={"settings", "base"}),
            **self.settings.model_dump(mode="json"),
        }

    @property
    def counts_rows(self) -> bool:
        """Whether its manifests count the rows of a table. Raises ContractError."""
        return hasattr(find_connector(self.connector, self.base), "expect")

    @classmethod
    def parse(cls, data: Any, base: Path | None = None) -> tuple[SourceConfig | None, list[str]]:
        """The source, or its faults, a line each."""
        if not isinstance(data, Mapping):
            return None, ["a source is a list of settings and values"]
        given = {str(name): value for name, value in data.items()}
        own = {name: value for name, value in given.items() if name not in CommonSettings.model_fields}
        common, faults = parse_settings(CommonSettings, {k: v for k, v in given.items() if k not in own}, base)
        named = given.get("connector", CommonSettings.model_fields["connector"].default)
        try:
            connector = find_connector(str(named), base)
        except ContractError as error:
            return None, [*faults, f"connector: {error}"]
        settings, more = parse_settings(connector.Settings, own, base)
        faults += more
        if common is None or settings is None:
            return None, faults
        config = cls(**common.model_dump(), settings=settings, base=base)
        faults += _faults_together(config, connector)
        return (None, faults) if faults else (config, [])


def _faults_together(config: SourceConfig, connector: Connector) -> list[str]:
    """What of the common settings and the connector's own does not go together."""
    if config.manifest_key is not None and not hasattr(connector, "manifest_folder"):
        return [f"manifest_key: {config.connector} has no place where manifests of the day could come; leave it out"]
    own: Callable[[SourceConfig], list[str]] | None = getattr(connector, "config_faults", None)
    return own(config) if own is not None else []


def load_sources(path: Path) -> dict[str, SourceConfig]:
    """The sources by name; paths are made absolute, seen from the file's folder.

    :raises ContractError: naming every fault by file, source and setting.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: no valid YAML: {error}") from error
    if not isinstance(data, dict) or set(data) != {"sources"} or not isinstance(data["sources"], list):
        raise ContractError(f"{path}: the file is a list of sources under the word `sources`, and nothing else")
    base = path.resolve().parent
    sources: dict[str, SourceConfig] = {}
    faults: list[str] = []
    folders: dict[str, str] = {}
    for number, entry in enumerate(data["sources"], 1):
        if isinstance(entry, dict) and entry.get("connector") == "http":
            continue  # nobody reads it, it hands in: see hub.intake.http_sources
        label = str(entry.get("name", f"number {number}")) if isinstance(entry, dict) else f"number {number}"
        config, wrong = SourceConfig.parse(entry, base)
        faults += [f"  source {label}: {fault}" for fault in wrong]
        if config is None:
            continue
        if config.name in sources:
            faults.append(f"  source {label}: name: used twice")
        for setting_name in ("folder", "manifests"):
            folder = getattr(config.settings, setting_name, None)
            if folder is not None and (other := folders.setdefault(str(folder), config.name)) != config.name:
                faults.append(f"  source {label}: {setting_name}: also read by {other}")
        sources[config.name] = config
    if faults:
        raise ContractError(f"{path}:\n" + "\n".join(faults))
    return sources


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a connector needs to know of a schema's field.

    ``codes`` maps accepted texts to codes where the field has a code list, else ``None``.
    ``is_masked`` is true for ID numbers, phones and the like: their values never go into a
    problem's text.
    """

    name: str
    title: str
    max_length: int | None
    codes: Mapping[str, str] | None
    is_masked: bool
    has_default: bool


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the hub lends to a connector: its configuration, its fields, and code lists by name.

    ``config.settings`` is the connector's own ``Settings``. ``folder`` is a place of the source's own on
    this machine, for what it has to remember; it is made by whoever first writes there, and lost it must
    cost time, no fact. ``fields(schema)`` gives the rules of all fields of a schema; ``codes(name)`` a
    code list as text -> code, with titles and codes both as texts. Both raise ``ContractError`` if unknown.
    """

    config: SourceConfig
    fields: Callable[[str], Mapping[str, FieldRule]]
    codes: Callable[[str], Mapping[str, str]]
    folder: Path
