"""What ``sources.yaml`` may say to the lead feed."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from hub.intake import ConnectorSettings, MappingName, setting


class LeadFeedSettings(ConnectorSettings):
    """The national platform's interface, and how much of it is taken at a time."""

    url: str = setting(
        "接口地址", "Root of the platform's interface, e.g. `https://leads.example/api`. No secret in it."
    )
    token: SecretStr | None = setting("令牌", "What the platform knows the hub by; better is `token_env`.", None)
    token_env: str | None = setting("令牌的环境变量", "Name of the environment variable with the token.", None)
    mapping: MappingName = setting(
        "模板", "Name of a mapping of the connector, or a YAML file seen from the folder of this file.", "leads"
    )
    every_seconds: Annotated[float, Field(gt=0)] = setting("读取间隔（秒）", "How often the platform is asked.", 30.0)
    page_tasks: Annotated[int, Field(ge=1, le=1000)] = setting(
        "每页任务数", "Tasks that are asked for at a time; fewer where a page cannot be read.", 200
    )
    portion_tasks: Annotated[int, Field(ge=1, le=1_000_000)] = setting(
        "每批任务数", "At most about so many tasks are taken before they are told.", 10_000
    )
    max_page_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = setting(
        "页面大小上限（字节）",
        "A larger answer is not read on; its tasks are then asked for in smaller pages.",
        8 * 1024 * 1024,
    )
    max_text: Annotated[int, Field(ge=100)] = setting(
        "文本上限（字符）", "A task with a longer text is refused, whatever its field.", 100_000
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = setting(
        "超时（秒）", "An answer that is not whole within this is a failure; it is tried again.", 30.0
    )
    task_prefix: Annotated[str, Field(min_length=1, max_length=50)] | None = setting(
        "任务编号前缀",
        "What the numbers of this platform's tasks begin with. Needed where more than one source has a way back up, "
        "so that an answer goes to the platform that gave the task.",
        None,
    )
    errors: Literal["xlsx", "csv"] = setting("问题清单格式", "Form of the list of problems: `xlsx` or `csv`.", "xlsx")

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            host = parts.hostname
        except ValueError:
            raise ValueError("no address; it looks like https://leads.example/api") from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise ValueError("no address; it looks like https://leads.example/api")
        if parts.username is not None or parts.password is not None:
            raise ValueError("holds a user or password: put the token into token_env")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _fits_together(self) -> LeadFeedSettings:
        if self.token is not None and self.token_env is not None:
            raise ValueError("give one of token, token_env")
        return self
