"""Settings of a connector: one model, from which validation, documentation and forms come."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo

from hub.errors import ContractError


def _seen_from_the_file(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return Path(base) / path.expanduser() if base is not None else path


#: A path; a relative one is seen from the folder of the file that holds the settings.
SettingsPath = Annotated[Path, AfterValidator(_seen_from_the_file)]


class ConnectorSettings(BaseModel):
    """Base of every connector's settings. Give each field a title and a description.

    A secret is a pair of fields, ``password: SecretStr | None`` and ``password_env: str | None``; the
    second names an environment variable, so that the file holds no secret. ``secret("password")`` gives
    the one that is set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def secret(self, field: str) -> str | None:
        """The secret of that name, or ``None`` where none is given. It is looked up when it is used, so
        that the other sources of the file do not depend on it.

        :raises ContractError: naming the variable, where that is not set.
        """
        given = cast("SecretStr | None", getattr(self, field))
        if given is not None:
            return given.get_secret_value()
        variable = cast("str | None", getattr(self, f"{field}_env"))
        if variable is None:
            return None
        if variable not in os.environ:
            raise ContractError(f"{field}_env: the environment has no variable {variable}")
        return os.environ[variable]


_Model = TypeVar("_Model", bound=BaseModel)


def parse_settings(model: type[_Model], data: Any, base: Path | None) -> tuple[_Model | None, list[str]]:
    """The model, or the faults that keep it from being one: a line each, where and what."""
    try:
        return model.model_validate(data, context={"base": base}), []
    except ValidationError as error:
        return None, fault_lines(error)


def fault_lines(error: ValidationError) -> list[str]:
    """Every fault of a validation in a line of its own; never what stood there, which may be secret."""
    return [
        f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}"
        for fault in error.errors(include_input=False)
    ]


def settings_schema(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of the settings, for a form."""
    return model.model_json_schema()


def settings_table(model: type[BaseModel]) -> str:
    """The settings as a table in Markdown: name, default, meaning."""
    lines = ["| Setting | Default | Meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        text = " ".join((field.description or "").split())
        title = f"{field.title}: " if field.title else ""
        lines.append(f"| `{field.alias or name}` | {default_text(field)} | {title}{text} |")
    return "\n".join(lines) + "\n"


def default_text(field: FieldInfo) -> str:
    """A field's default as YAML would have it, in Markdown."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or default in ((), [], {}):
        return "none"
    if isinstance(default, BaseModel):
        return "that of its parts"
    if isinstance(default, timedelta):
        return f"`{default.total_seconds():g}`"
    return f"`{default if isinstance(default, str) else json.dumps(default, ensure_ascii=False, default=str)}`"


def setting(title: str, description: str, default: Any = ..., **limits: Any) -> Any:
    """A field of a settings model with its title (Chinese, for forms) and description (English)."""
    return Field(default, title=title, description=description, **limits)
