"""``hub``: the command line of the hub."""

from __future__ import annotations

import importlib

import typer

app = typer.Typer(
    name="hub",
    help="甘南州市场监管事件枢纽 / the event hub of Gannan's market supervision",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

@app.callback()
def _hub() -> None:
    """甘南州市场监管事件枢纽 / the event hub of Gannan's market supervision"""


#: Group -> module; each has an ``app``.
_GROUPS = {
    "accounts": "hub.cli.accounts",
    "topics": "hub.cli.topics",
    "schemas": "hub.cli.schemas",
    "connect": "hub.cli.connect",
    "sources": "hub.cli.sources",
    "ids": "hub.cli.ids",
    "identity": "hub.cli.identity",
    "calendar": "hub.cli.calendar",
    "clocks": "hub.cli.clocks",
    "acts": "hub.cli.acts",
    "dead-letters": "hub.cli.dead_letters",
    "disclosure": "hub.cli.disclosure",
    "deliveries": "hub.cli.deliveries",
    "holdings": "hub.cli.holdings",
    "subscriptions": "hub.cli.subscriptions",
    "bench": "hub.cli.bench",
    "sandbox": "hub.cli.sandbox",
}
#: Module -> its single commands.
_COMMANDS = {
    "hub.cli.up": ("up",),
    "hub.cli.run": ("run",),
    "hub.cli.demo": ("demo",),
    "hub.cli.lag": ("lag", "ops"),
    "hub.cli.look": ("tally", "doctor"),
    "hub.cli.trace": ("trace",),
    "hub.cli.publish": ("publish",),
    "hub.cli.rebuild": ("rebuild",),
    "hub.cli.listen": ("listen",),
    "hub.cli.proof": ("proof",),
    "hub.cli.replay": ("replay",),
    "hub.cli.asyncapi": ("asyncapi",),
}


def build(arguments: list[str] | None = None) -> typer.Typer:
    """The whole command line; with ``arguments``, only the part that they name.

    ``hub ids check`` has to judge 100,000 codes in 3 s: it does not load a Kafka client first.
    """
    named = next((word for word in arguments or [] if not word.startswith("-")), None)
    for name, module in _GROUPS.items():
        if named in (None, name):
            app.add_typer(importlib.import_module(module).app, name=name)
    for module, names in _COMMANDS.items():
        if named is None or named in names:
            loaded = importlib.import_module(module)
            for name in names:
                app.command(name)(getattr(loaded, name))
    if named is not None and named not in {*_GROUPS, *(name for names in _COMMANDS.values() for name in names)}:
        return build()
    return app


def main() -> None:
    import sys

    build(sys.argv[1:])()


if __name__ == "__main__":
    main()
