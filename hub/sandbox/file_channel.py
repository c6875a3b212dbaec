"""Stand-ins of channels that exchange files: take batches out of ``out``, put receipts into ``in``.

One turn of ``FileChannel`` reads what is there and answers it. Faults that can be ordered: ``down`` (nothing is
read), ``slow``, ``refuse_record``, ``lose_answer`` (a row is missing in the receipt), ``answer_twice`` (a second
receipt file), ``lose_receipt`` (none), ``cut_receipt``, ``foreign_receipt``, and ``spoiled_subjects``, which 信用中国
knows as names of parties.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from hub.sandbox.faults import FaultPlan
from hub.sandbox.register import Order, Register
from hub.sandbox.row_register import RowRegister

_REFUSED = "不予受理：按故障计划退回"


class FileChannel(ABC):
    """One channel. Its folders are made here: it owns the share."""

    def __init__(self, folder: Path, faults: FaultPlan) -> None:
        self._out, self._in, self._faults = folder / "out", folder / "in", faults
        for each in (self._out, self._in):
            each.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _answer(self, name: str, content: bytes) -> tuple[str, bytes]:
        """Carries out a batch; name and bytes of its receipt."""

    @abstractmethod
    def _foreign(self) -> tuple[str, bytes]:
        """The receipt of a batch that nobody sent."""

    def turn(self) -> int:
        """Answers every batch that lies there; returns how many there were."""
        faults = self._faults.faults
        if self._faults.strikes(faults.down):
            return 0
        if self._faults.strikes(faults.slow):
            time.sleep(faults.slow.seconds)
        names = sorted(name for name in os.listdir(self._out) if not name.startswith("."))
        for name in names:
            receipt, content = self._answer(name, (self._out / name).read_bytes())
            if self._faults.strikes(faults.cut_receipt):
                content = content[: len(content) * 2 // 3]
            if not self._faults.strikes(faults.lose_receipt):
                self._put(receipt, content)
            if self._faults.strikes(faults.answer_twice):
                self._put(f"again-{receipt}", content)
            if self._faults.strikes(faults.foreign_receipt):
                self._put(*self._foreign())
            (self._out / name).unlink()
        return len(names)

    def _put(self, name: str, content: bytes) -> None:
        part = self._in / f".{name}.part"
        part.write_bytes(content)
        os.replace(part, self._in / name)

    def _refusal(self, party: str) -> str | None:
        is_refused = party in self._faults.faults.spoiled_subjects
        return _REFUSED if is_refused or self._faults.strikes(self._faults.faults.refuse_record) else None


class CreditChinaChannel(FileChannel):
    """信用中国: 双公示 files (CSV), one row a record."""

    def __init__(self, folder: Path, data: Path, faults: FaultPlan) -> None:
        super().__init__(folder, faults)
        self.register = RowRegister(data / "credit-china.sqlite")

    def close(self) -> None:
        self.register.close()

    def _answer(self, name: str, content: bytes) -> tuple[str, bytes]:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        answers: list[Sequence[str]] = []
        with self.register.whole():
            for row in rows:
                envelope = {key: value for key, value in row.items() if key.startswith(("cd_", "record_"))}
                cells = {key: value for key, value in row.items() if key not in envelope}
                party = row.get("CF_XDR_MC") or row.get("XK_XDR_MC") or ""
                found = self.register.carry_out(row["cd_batch"], envelope, cells, self._refusal(party))
                if not self._faults.strikes(self._faults.faults.lose_answer):
                    is_refused = found.reason is not None
                    answers.append([
                        name, found.cd_id, "0" if is_refused else "1", found.reason or "",
                        "" if is_refused else found.reference, found.at,
                    ])
        return f"{name.removesuffix('.csv')}.receipt.csv", _to_csv(answers)

    def _foreign(self) -> tuple[str, bytes]:
        name = "CF_elsewhere_2019041100002"
        return f"{name}.receipt.csv", _to_csv([[f"{name}.csv", "x", "1", "", "", ""]])


def _to_csv(answers: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(["file", "cd_id", "result", "reason", "reference", "time"])
    out.writerows(answers)
    out.writerow(["END", len(answers)])
    return text.getvalue().encode("utf-8-sig")


class PlatformFileChannel(FileChannel):
    """协管平台 by files: the records of its HTTP interface, many in one JSON file."""

    def __init__(self, folder: Path, data: Path, faults: FaultPlan) -> None:
        super().__init__(folder, faults)
        self.register = Register(data / "disclosure.sqlite")

    def close(self) -> None:
        self.register.close()

    def _answer(self, name: str, content: bytes) -> tuple[str, bytes]:
        answers = []
        for record in json.loads(content)["records"]:
            refusal = self._refusal(record["subject"])
            if refusal is not None:
                answers.append({"order_id": record["order_id"], "status": 422, "problem": {"title": refusal}})
                continue
            receipt, _ = self.register.carry_out(Order(**record))
            if not self._faults.strikes(self._faults.faults.lose_answer):
                answers.append({"order_id": record["order_id"], "status": 200, "receipt": receipt})
        return self._receipt(name, answers)

    def _foreign(self) -> tuple[str, bytes]:
        return self._receipt("elsewhere_2019041100002.json", [])

    @staticmethod
    def _receipt(name: str, answers: Sequence[object]) -> tuple[str, bytes]:
        document = {"file": name, "count": len(answers), "answers": answers}
        return f"{name.removesuffix('.json')}.receipt.json", json.dumps(document, ensure_ascii=False).encode()
