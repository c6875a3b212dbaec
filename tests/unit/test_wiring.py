"""What the wiring offers by name is there, and a process loads what its stage needs alone."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hub import wiring

#: What only some stages need, and what costs a process a second or tens of megabytes.
HEAVY = (
    "fastapi", "uvicorn", "aiohttp", "openpyxl", "kafka", "jinja2", "sqlalchemy", "asyncssh", "hub.sandbox", "hub.web",
    "opentelemetry.proto", "google.protobuf",
)


def _promised() -> dict[str, str]:
    """Name -> module, as the type checker reads it."""
    tree = ast.parse(Path(wiring.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: statement.module or "" for statement in block.body if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_every_promised_name_is_that_of_its_module() -> None:
    promised = _promised()
    assert len(promised) > 30
    for name, module in promised.items():
        assert getattr(wiring, name) is getattr(sys.modules[module], name)


def test_a_name_that_nobody_promised_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'build_everything'"):
        wiring.build_everything  # noqa: B018


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("hub.cli.run", []),
        ("hub.wiring.routing", []),
        ("hub.wiring.ledger", ["kafka"]),
        ("hub.wiring.clocks", ["kafka"]),
        ("hub.wiring.disclosure", ["aiohttp"]),
        ("hub.wiring.intake", ["openpyxl"]),
        # The classes of the spans' protocol come with a receiver that is named.
        ("hub.wiring.ops", ["aiohttp", "kafka"]),
    ],
)
def test_a_stage_loads_what_it_needs_alone(module: str, heavy: list[str]) -> None:
    code = f"import json, sys, {module}; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) <= set(heavy)
