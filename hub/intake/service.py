"""The service: watches all sources and reads what comes, one thread for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog

from hub.errors import HubError
from hub.intake.build import open_session
from hub.intake.engine import Outcome
from hub.intake.guards.service import WATCH_SECONDS, SourcesGuard
from hub.intake.rows import Counts
from hub.intake.session import Means
from hub.intake.sources import SourceConfig

#: How often a folder is looked at; a department that copies a file waits no longer than this.
POLL_SECONDS = 0.5
#: Waits after errors double from the first to the last.
_FIRST_WAIT, _LAST_WAIT = 1.0, 30.0
_log = structlog.get_logger()


class IntakeService:
    """Runs until ``stop``. ``start`` returns at once; ``stop`` lets each thread end its batch, waits for
    its acknowledgement, and returns when all have ended. A source that fails is tried again and again,
    with growing waits, and holds up no other."""

    def __init__(
        self,
        configs: Mapping[str, SourceConfig],
        means: Means,
        *,
        on_outcome: Callable[[str, Outcome], None] | None = None,
        guard: SourcesGuard | None = None,
    ) -> None:
        self._configs = dict(configs)
        self._means = means
        self._on_outcome = on_outcome
        self._guard_of_sources = guard
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()
        self._counts: dict[str, Counts] = {name: Counts() for name in configs}
        self._errors: dict[str, str] = {}

    def start(self) -> None:
        """Begins to watch."""
        for config in self._configs.values():
            thread = threading.Thread(target=self._watch, args=(config,), name=f"intake-{config.name}")
            thread.start()
            self._threads.append(thread)
        if self._guard_of_sources is not None:
            thread = threading.Thread(target=self._guard_sources, args=(self._guard_of_sources,), name="intake-guard")
            thread.start()
            self._threads.append(thread)

    def run(self) -> None:
        """``start``, then waits until another thread calls ``stop``."""
        self.start()
        self._stopping.wait()
        self.stop()

    def stop(self) -> None:
        """Ends cleanly; may be called from a signal handler's thread and more than once."""
        self._stopping.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def counts(self) -> dict[str, Counts]:
        """What was read since the start, by source."""
        with self._guard:
            return {name: Counts.from_dict(counts.as_dict()) for name, counts in self._counts.items()}

    def errors(self) -> dict[str, str]:
        """Sources that cannot be read at the moment, and why."""
        with self._guard:
            return dict(self._errors)

    def _watch(self, config: SourceConfig) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            try:
                with open_session(config, self._means, self._stopping.is_set) as session:
                    self._note(config.name, None)
                    while not self._stopping.is_set():
                        for outcome in session.run_pending():
                            self._count(config.name, outcome)
                        wait = _FIRST_WAIT
                        self._stopping.wait(POLL_SECONDS)
            except (HubError, OSError) as error:
                _log.warning(
                    "source cannot be read; trying again",
                    source=config.name,
                    error=str(error),
                    wait_seconds=wait,
                )
                self._note(config.name, str(error))
            except Exception as error:  # one source's fault must not end the service
                _log.exception("source failed; trying again", source=config.name, wait_seconds=wait)
                self._note(config.name, type(error).__name__)
            else:
                continue
            self._stopping.wait(wait)
            wait = min(wait * 2, _LAST_WAIT)

    def _guard_sources(self, guard: SourcesGuard) -> None:
        """Looks after silence and manifests, also of sources that cannot be read or hand in by themselves."""
        while not self._stopping.is_set():
            try:
                guard.tick()
            except HubError as error:
                _log.warning("sources cannot be watched; trying again", error=str(error))
            except Exception:  # the watch must not end the service, nor be ended by one manifest
                _log.exception("the watch of sources failed; trying again")
            self._stopping.wait(WATCH_SECONDS)
        guard.close()

    def _count(self, name: str, outcome: Outcome) -> None:
        with self._guard:
            self._counts[name].add(outcome.counts)
        if self._on_outcome:
            self._on_outcome(name, outcome)

    def _note(self, name: str, error: str | None) -> None:
        with self._guard:
            if error is None:
                self._errors.pop(name, None)
            else:
                self._errors[name] = error
