"""From the department's files to receipts and answers: what it puts into ``inbox`` is read, acted upon and moved away.

    seen ──▶ settled (unchanged for a while) ──▶ signature ──▶ rows ──▶ verdicts on disk, answers checked
         ──▶ receipts and answers safe on Kafka ──▶ result in ``results`` ──▶ the file in ``done``

Killed anywhere on the way, the next owner begins with the same file again, and repeats change nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from hub.bus.records import Output
from hub.delivery.answers import AnswerDesk, NoticeReader, Signed
from hub.delivery.filedrop.box import FileBox
from hub.delivery.filedrop.columns import NOTICE_ID, Columns
from hub.delivery.filedrop.inbox import MAX_SIGNATURE_BYTES, Inbox, Letter, Stamp, Timing
from hub.delivery.filedrop.layout import package_of
from hub.delivery.filedrop.ledger import Verdict
from hub.delivery.filedrop.replies import Ack, Fault, Place, Reply, Said, column_of, read_replies
from hub.delivery.filedrop.results import Result
from hub.delivery.filedrop.tables import MAX_BYTES, UnreadableError
from hub.domain.problem import ProblemError
from hub.domain.webhook import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, SignatureError, parse_verifier, verify
from hub.errors import HubError
from hub.state.notice_index import Notice

SOURCE = "/delivery/filedrop"
#: A file may lie there while the hub rests; to play it again changes nothing, since it names its package and notices.
SIGNATURE_AGE = timedelta(days=30)
_ANSWERS = (".answers.xlsx", ".answers.csv", ".answers.json", ".answers.jsonl")
_ACKS = ("", ".ack", ".form")
_log = structlog.get_logger()

#: Writes outputs, and says whether they and all that was written before are safe on Kafka.
Write = Callable[[Sequence[Output]], Awaitable[bool]]


@dataclass
class _Work:
    """What is to be done about one file."""

    result: Result
    verdicts: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)


class FolderReader:
    """Reads the inbox of one box, in its event loop. ``now`` gives aware UTC.

    ``keys`` gives (keys that the department signs its files with, secrets that both know) and is asked each time.
    If there are keys of the department's own, each of its files has to be signed with one of them.
    """

    def __init__(
        self, box: FileBox, columns: Columns, desk: AnswerDesk, notices: NoticeReader, write: Write,
        keys: Callable[[], tuple[Sequence[str], Sequence[str]]], now: Callable[[], datetime], *,
        timing: Timing | None = None,
    ) -> None:
        self._box, self._columns = box, columns
        self._desk, self._notices, self._write, self._keys = desk, notices, write, keys
        self._now, self._timing = now, timing or Timing()
        self._inbox = Inbox(box.layout, now, self._timing)
        #: What is done but for its result: a full disk must not have it done again and again.
        self._done: dict[str, tuple[Stamp, Result]] = {}
        self._log = _log.bind(subscription=box.subscription)

    async def run(self) -> None:
        """Looks again and again until it is cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # whatever is wrong with a folder, looking goes on
                self._log.warning("filedrop.cannot_look", error=_said(error))
            await asyncio.sleep(self._timing.look_seconds)

    async def look(self) -> int:
        """Reads what has settled; how many files are done. Raises OSError if there is no folder to look into."""
        await self._box.open()
        count = 0
        letters = await asyncio.to_thread(self._inbox.collect)
        self._done = {letter.name: self._done[letter.name] for letter in letters if letter.name in self._done}
        for letter in letters:
            try:
                count += await self._handle(letter)
            except Exception as error:  # one file must not keep the others waiting
                self._log.warning("filedrop.waits", error=_said(error))
        told = self._box.told
        if told and await self._write([]):
            await self._box.settle(told)
        await asyncio.to_thread(self._box.ledger.file_away, self._now())
        return count

    # -- one file -------------------------------------------------------------------------------

    async def _handle(self, letter: Letter) -> bool:
        """Whether the file is done; otherwise it stays where it is and comes again."""
        known = self._done.get(letter.name)
        if known is not None and known[0] == letter.stamp:
            result = known[1]
        else:
            if self._waits_for_signature(letter):
                return False
            work = await asyncio.to_thread(self._read, letter)
            result = work.result
            if not await self._act(work):
                return False
            self._done[letter.name] = letter.stamp, result
        await asyncio.to_thread(self._inbox.finish, letter, result)
        del self._done[letter.name]
        self._log.info(
            "filedrop.read", received=result.received, refused=result.refused, answered=result.answered,
            repeated=result.repeated, faults=len(result.faults),
        )
        return True

    def _waits_for_signature(self, letter: Letter) -> bool:
        is_needed = bool(self._keys()[0]) and not letter.name.lower().endswith(".jsonl")
        return is_needed and letter.signature is None and letter.age_seconds < self._timing.signature_seconds

    def _read(self, letter: Letter) -> _Work:
        """What the file says, sorted; in a thread. Raises IndexUnavailableError while nobody can tell."""
        work = _Work(Result(letter.name))
        package, is_known = self._kind(letter.name)
        try:
            if not is_known:
                remedy = "请命名为 <包名>.ack.xlsx 或 <名称>.answers.xlsx（或 .csv、.json）"
                raise UnreadableError("看不懂的文件名", remedy)
            if letter.content is None or len(letter.content) > MAX_BYTES:
                raise UnreadableError(f"文件超过 {MAX_BYTES // 1024 // 1024} MB", "请分成几个文件")
            self._check_signature(letter, letter.content)
            said = read_replies(letter.name, letter.content, self._columns.measure_id)
        except UnreadableError as error:
            work.result.faults.append(Fault(Place(), "文件", "", str(error), error.remedy))
            return work
        work.result.faults.extend(said.faults)
        self._sort_replies(said, work)
        self._sort_acks(said, package, work)
        return work

    def _kind(self, name: str) -> tuple[str | None, bool]:
        """The package that a file speaks of by its name, and whether the name is one that is understood."""
        package, lower = package_of(name), name.lower()
        if lower.endswith(_ANSWERS):
            return package, True
        forms = [f"{middle}{end}" for middle in _ACKS for end in (".xlsx", ".csv", ".json")]
        return package, package is not None and lower[len(package) :] in forms

    def _check_signature(self, letter: Letter, content: bytes) -> None:
        own, shared = self._keys()
        if letter.signature is None:
            if own and not letter.name.lower().endswith(".jsonl"):
                raise UnreadableError("文件没有签名", f"本订阅的文件须签名：请一并放入 {letter.name}.sig")
            return
        try:
            raw = json.loads(letter.signature[:MAX_SIGNATURE_BYTES])
            headers = {str(name).lower(): str(value) for name, value in raw.items()}
        except (ValueError, AttributeError, RecursionError):
            raise UnreadableError("签名文件不是 JSON 对象", f"请写入 {ID_HEADER} 等三个签名头") from None
        signed_as = self._verified(headers, content, own or shared)
        # Under its own name, so that nobody hands in one package's file as another's.
        if signed_as != letter.name.partition(".")[0]:
            raise UnreadableError("签名不属于这个文件", f"{ID_HEADER} 须为文件名第一个点之前的部分")

    def _verified(self, headers: Mapping[str, str], content: bytes, keys: Sequence[str]) -> str:
        try:
            return verify([parse_verifier(text) for text in keys], headers, content, self._now(), SIGNATURE_AGE)
        except SignatureError as error:
            raise UnreadableError(f"签名无效（{error}）", "请核对密钥，并对文件的原始字节签名") from None

    # -- what it says -----------------------------------------------------------------------------

    def _sort_acks(self, said: Said, package: str | None, work: _Work) -> None:
        if not said.acks:
            return
        known = dict.fromkeys(self._box.ledger.notices(package) if package is not None else ())
        if package is None or not known:
            problem = "没有发出过这个包" if package is not None else "文件名没有写明是哪个包"
            fault = Fault(Place(), "文件", "", problem, "文件名须以包名开头，包名见 outbox 文件夹")
            work.result.faults.append(fault)
            return
        # What is said of single notices counts before what is said of all.
        verdicts = work.verdicts.setdefault(package, {})
        places: dict[str, Ack] = {}
        for ack in sorted(said.acks, key=lambda each: each.notice_id is None):
            ids = list(known) if ack.notice_id is None else [ack.notice_id]
            for notice_id in ids:
                earlier = places.get(notice_id)
                if notice_id not in known:
                    self._fault(work, ack.place, notice_id, "这个包里没有这条通知", "请照抄包内表格中的通知编号")
                elif earlier is None:
                    verdicts[notice_id], places[notice_id] = ack.verdict, ack
                elif ack.notice_id is not None and ack.verdict.is_received != earlier.verdict.is_received:
                    self._fault(work, ack.place, notice_id, "同一通知前后不一致，以前一行为准", "请只填写一次")

    @staticmethod
    def _fault(work: _Work, place: Place, notice_id: str, problem: str, remedy: str) -> None:
        work.result.faults.append(Fault(place, NOTICE_ID, notice_id, problem, remedy))

    def _sort_replies(self, said: Said, work: _Work) -> None:
        for reply in said.replies:
            try:
                signed = self._signed(reply)
                taken = self._desk.take(
                    self._completed(reply.document), way="file", source=SOURCE,
                    content=reply.content if signed else None, signed=signed,
                )
            except UnreadableError as error:
                work.result.faults.append(Fault(reply.place, "", "", str(error), error.remedy))
            except ProblemError as problem:
                work.result.faults.extend(self._faults_of(problem, reply))
            else:
                work.outputs.append(taken.output)
                work.result.answered += 1
                # Who answers a notice has received it.
                package = self._box.ledger.package_of(taken.notice_id)
                if package is not None:
                    work.verdicts.setdefault(package, {}).setdefault(taken.notice_id, Verdict(True))

    def _signed(self, reply: Reply) -> Signed | None:
        if reply.headers is None or reply.content is None:
            return None
        own, shared = self._keys()
        message_id = self._verified(reply.headers, reply.content, own or shared)
        at = datetime.fromtimestamp(int(reply.headers[TIMESTAMP_HEADER]), UTC)
        return Signed(message_id, at, reply.headers[SIGNATURE_HEADER])

    def _completed(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The answer with what the hub knows of its notice: a clerk copies one number, not five."""
        notice_id = document.get("notice_id")
        # The index knows no id of that length, and what is no text is the desk's to refuse.
        notice = self._notices.get(notice_id) if isinstance(notice_id, str) and 0 < len(notice_id) <= 36 else None
        found: dict[str, Any] = {"subscription": self._box.subscription}
        if notice is not None and notice.subscription == self._box.subscription:
            found |= {name: getattr(notice, name) for name in ("correlation_id", "event_id", "subject")}
        else:
            found |= dict.fromkeys(("correlation_id", "event_id", "subject"), "?")
        return {**found, **document}

    def _faults_of(self, problem: ProblemError, reply: Reply) -> list[Fault]:
        id = str(reply.document.get("notice_id", ""))[:50]
        if problem.slug == "unknown-notice":
            return [Fault(reply.place, NOTICE_ID, id, "没有向本订阅发出过这条通知", "请照抄包内表格中的通知编号")]
        if not problem.errors:
            return [Fault(reply.place, NOTICE_ID, id, f"{problem.title}（{problem}）", "请核对这一行")]
        found = []
        for each in problem.errors:
            name = each["pointer"].lstrip("/")
            value = str(reply.document.get(name) or "")
            remedy = self._remedy(name, self._notices.get(id) if name == "measure" and 0 < len(id) <= 36 else None)
            found.append(Fault(reply.place, column_of(name), value, each["detail"], remedy))
        return found

    def _remedy(self, name: str, notice: Notice | None) -> str:
        if name == "measure" and notice is not None:
            titles = "、".join(self._columns.measure(each) for each in notice.expected_measures)
            return f"请从期望措施中选填：{titles}" if titles else "这条通知没有期望措施"
        return {
            "reason": "请填写说明，不超过 2000 字", "acted_on": "请填写如 2026-03-04 的日期",
            "case_number": "请填写案件编号，不超过 128 字",
        }.get(name, f"请核对{column_of(name)}")

    # -- doing it -------------------------------------------------------------------------------

    async def _act(self, work: _Work) -> bool:
        """Tells the engine, and says whether all that follows is safe on Kafka."""
        result = work.result
        for package, verdicts in work.verdicts.items():
            outcomes = await self._box.judge(package, verdicts)
            for notice_id, outcome in outcomes.items():
                if outcome == "other":
                    remedy = "如确需更改，请与市场监管局联系"
                    self._fault(work, Place(), notice_id, "此前已有不同的签收结果，不再更改", remedy)
            counts = Counter(
                ("received" if verdicts[notice_id].is_received else "refused") if outcome == "new" else outcome
                for notice_id, outcome in outcomes.items()
            )
            result.received += counts["received"]
            result.refused += counts["refused"]
            result.repeated += counts["repeated"]
        if not (work.verdicts or work.outputs):
            return True
        told = self._box.told
        if not await self._write(work.outputs):
            return False
        await self._box.settle(told)
        return True

def _said(error: Exception) -> str:
    """What is wrong, without names of files: they come from outside."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, HubError) else type(error).__name__
