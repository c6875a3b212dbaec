"""The process that reads: ``python -m hub.intake.beside.process``, a ``Job`` on its standard input.

It answers on its standard output with a pickled ``Columns`` for each batch, then with ``Ended``. It owns nothing and
writes nowhere else: killed, it costs the reading; where the intake ends, its next answer finds nobody and it ends too.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing

from hub.contracts.catalog import Catalog
from hub.intake.beside.columns import Columns, columns_of
from hub.intake.beside.messages import Ended, Job
from hub.intake.build import build_source
from hub.intake.facts.early import FactMaker
from hub.intake.session import tune_collector
from hub.intake.versions import EventWriter, utc_now


def batches(job: Job) -> Iterator[Columns]:
    """Raises what ``Portion.batches`` raises."""
    catalog = Catalog.load(job.root)
    source = build_source(job.config, catalog, job.data_dir)
    with closing(source):
        writer = EventWriter(source.name, source.target, catalog.schema, job.subject_secret)
        has_facts = not job.facts.keys().isdisjoint(source.topics)
        maker = FactMaker(source.name, job.facts, writer, job.config.way) if has_facts else None
        with closing(source.reopen(job.handle)) as portion:  # type: ignore[attr-defined]  # see hub.intake.Source
            for batch in portion.batches(job.behind):
                yield columns_of(writer, maker, batch, utc_now())


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
    tune_collector()
    ended = Ended()
    try:
        for columns in batches(pickle.load(sys.stdin.buffer)):  # noqa: S301  from the process that started this one
            pickle.dump(columns, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
    except BrokenPipeError:
        os._exit(0)  # the intake has ended
    except Exception as error:
        ended = Ended(_portable(error))
    try:
        pickle.dump(ended, answers, pickle.HIGHEST_PROTOCOL)
        answers.close()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    # The classes of answers have to be those that the other side knows.
    from hub.intake.beside import process

    process.main()
