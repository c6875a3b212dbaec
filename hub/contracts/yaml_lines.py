"""YAML with the line of every node, and without the surprises of YAML 1.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hub.errors import ContractError

#: libyaml's loader, ten times as quick, where PyYAML was built with it.
FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path_ = tuple[str | int, ...]


class LineMap:
    """Where in a file each node stands: path of keys and positions -> line, from 1."""

    def __init__(self) -> None:
        self._lines: dict[Path_, int] = {(): 1}

    def set(self, path: Path_, line: int) -> None:
        self._lines[path] = line

    def line(self, path: Path_) -> int:
        """Line of the node, or of the nearest node above it that the file has."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]


def load_with_lines(text: str, name: str) -> tuple[Any, LineMap, list[tuple[int, str]]]:
    """Parsed value, lines, and faults as (line, text): keys that stand twice.

    Raises ContractError with line and column where the text is no YAML.
    """
    lines, faults = LineMap(), list[tuple[int, str]]()
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise ContractError(f"{name}:{place} not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ContractError(f"{name}: not YAML: {error}") from error
    return (_build(node, (), lines, faults) if node else None), lines, faults


def _compose(text: str) -> Any:
    try:
        return yaml.compose(text, Loader=FastLoader)
    except yaml.YAMLError:
        # The slow one says better what is wrong.
        return yaml.compose(text, Loader=yaml.SafeLoader)


def load_yaml(path: Path) -> Any:
    """The value of a YAML file of the project. Raises ContractError naming the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ContractError(f"{path}: {error.strerror}") from error
    return load_with_lines(text, str(path))[0]


def _build(node: yaml.Node, path: Path_, lines: LineMap, faults: list[tuple[int, str]]) -> Any:
    lines.set(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in result:
                faults.append((key_node.start_mark.line + 1, f"{key!r} stands here a second time"))
            result[key] = _build(value_node, (*path, key), lines, faults)
            lines.set((*path, key), key_node.start_mark.line + 1)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), lines, faults) for index, item in enumerate(node.value)]
    # Everything but true/false, numbers and null stays text: `on`, `no` and dates are not guessed.
    if node.tag == "tag:yaml.org,2002:bool" and node.value.lower() in ("true", "false"):
        return node.value.lower() == "true"
    if node.tag == "tag:yaml.org,2002:null":
        return None
    if node.tag == "tag:yaml.org,2002:int" and node.value.lstrip("+-").isdigit() and not _is_code(node.value):
        return int(node.value)
    return node.value


def _is_code(text: str) -> bool:
    """A number with a leading zero is a code ("01"), not a number."""
    return len(text) > 1 and text.startswith("0")
