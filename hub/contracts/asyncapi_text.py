"""The AsyncAPI document as text, for programs and, without any outside host, for people."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

#: libyaml's writer where PyYAML was built with it: the other one takes seconds for a document of this size.
_DUMPER: type[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;"
    "vertical-align:top}code{white-space:nowrap}details{margin:.5rem 0}"
)


def to_json_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def to_yaml_text(document: Mapping[str, Any]) -> str:
    # Through JSON, so that a part that stands in two places is written twice and not as an anchor.
    plain = json.loads(json.dumps(document, ensure_ascii=False))
    return yaml.dump(plain, Dumper=_DUMPER, allow_unicode=True, sort_keys=False, width=120)


def style_source() -> str:
    """The page's style as a Content-Security-Policy names it: by its digest, so that no other one counts."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"


def to_page(document: Mapping[str, Any]) -> str:
    """A page of HTML that needs nothing but itself: each channel with its settings, its readers and its fields."""
    info = document["info"]
    body = "".join(_channels(document))
    title = html.escape(info["title"])
    return (
        f'<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>AsyncAPI {html.escape(document['asyncapi'])} · "
        f'<a href="asyncapi.json">JSON</a> · <a href="asyncapi.yaml">YAML</a> · {html.escape(info["version"])}</p>'
        f"<p>{html.escape(info['description'])}</p>{body}</body></html>"
    )


def _channels(document: Mapping[str, Any]) -> Iterator[str]:
    messages, schemas = document["components"]["messages"], document["components"]["schemas"]
    for name, channel in document["channels"].items():
        message = messages[name]
        users = [
            f"<li>{operation['action']}: <code>{html.escape(operation['title'])}</code></li>"
            for operation in document["operations"].values() if operation["channel"]["$ref"] == f"#/channels/{name}"
        ]
        yield (
            f'<h2 id="{html.escape(name)}"><code>{html.escape(name)}</code> {html.escape(channel["title"])}</h2>'
            f"<p>{html.escape(channel['description'])} {html.escape(message.get('summary', ''))} "
            f"{html.escape(message.get('description', ''))}</p>"
        )
        binding = channel.get("bindings", {}).get("kafka")
        if binding is not None:
            settings = {"partitions": binding["partitions"], "replicas": binding["replicas"],
                        "key": message["bindings"]["kafka"]["key"]["description"], **binding["topicConfiguration"]}
            yield _table([(key, json.dumps(value, ensure_ascii=False)) for key, value in settings.items()])
        yield f"<ul>{''.join(users)}</ul>"
        reference = message.get("payload", {}).get("$ref", "").rpartition("/")[2]
        if reference:
            schema = schemas[reference]["schema"]
            rows = [
                (field["name"], f"{field['title']}. {field['doc']}", json.dumps(field["type"])[:80])
                for field in schema["fields"]
            ]
            yield (
                f"<details><summary>{html.escape(schema['title'])} · {html.escape(reference)} · "
                f"id {message['x-schema-id']}</summary>{_table(rows)}</details>"
            )


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
