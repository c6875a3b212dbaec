"""The process that reads: ``python -m hub.intake.beside.process``, a ``Setup`` and then one ``Job`` after the other on
its standard input.

It answers on its standard output, to each job with a ``Columns`` for each batch and then with ``Ended``, all in pickle.
It owns nothing and writes nowhere else: killed, it costs the reading. Where the intake ends, its input ends or its next
answer finds nobody, and it ends too.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO

from hub.contracts.catalog import Catalog
from hub.intake.beside.columns import Columns, columns_of
from hub.intake.beside.messages import Ended, Job, Setup
from hub.intake.build import build_source
from hub.intake.facts.early import FactMaker
from hub.intake.registry import find_connector
from hub.intake.session import tune_interpreter
from hub.intake.sources import SourceConfig
from hub.intake.versions import EventWriter


class Preparer:
    """Raises what the making of a source raises."""

    def __init__(self, setup: Setup) -> None:
        catalog = Catalog.load(setup.root)
        find_connector(setup.connector, setup.base)
        config: SourceConfig = pickle.loads(setup.config)  # noqa: S301  from the process that started this one
        self.source: Any = build_source(config, catalog, setup.data_dir)
        name = self.source.name
        self._writer = EventWriter(name, self.source.target, catalog.schema, setup.subject_secret)
        has_facts = not setup.facts.keys().isdisjoint(self.source.topics)
        self._maker = FactMaker(name, setup.facts, self._writer, config.way) if has_facts else None

    def batches(self, job: Job) -> Iterator[Columns]:
        """Raises what ``Portion.batches`` raises."""
        with closing(self.source.reopen(job.content)) as portion:
            for batch in portion.batches(job.behind):
                yield columns_of(self._writer, self._maker, batch)


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  what was made here
    except Exception:  # whatever an exception's class makes of it
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def main() -> None:
    # Who interrupts a command wants its batch to end well; this process ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else is printed is no answer
    asked = sys.stdin.buffer
    try:
        _work(Preparer(pickle.load(asked)), asked, answers)  # noqa: S301  from the process that started this one
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the intake has ended


def _work(preparer: Preparer, asked: BinaryIO, answers: BinaryIO) -> None:
    """Until there is no job any more, which raises EOFError or BrokenPipeError."""
    tune_interpreter()
    while True:
        job = pickle.load(asked)  # noqa: S301  from the process that started this one
        ended = Ended()
        try:
            for columns in preparer.batches(job):
                pickle.dump(columns, answers, pickle.HIGHEST_PROTOCOL)
                answers.flush()
        except BrokenPipeError:
            raise
        except Exception as error:
            ended = Ended(_portable(error))
        pickle.dump(ended, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    # The classes of answers have to be those that the other side knows.
    from hub.intake.beside import process

    process.main()
