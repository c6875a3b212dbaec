"""Departments that export; codes and names are those of ``reference/departments.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Department:
    """A department: folder name of its exports, full name, fictional USCC, region, short name.

    ``short`` begins its document numbers (甘南市监处罚〔2026〕12号).
    """

    source: str
    name: str
    code: str
    region: str
    short: str


HEZUO_MARKET = Department("hezuo-market", "合作市市场监督管理局", "116230019901000185", "623001", "合市监")
GANNAN_MARKET = Department(
    "gannan-market", "甘南州市场监督管理局", "116230009900000171", "623000", "甘南市监"
)
GANNAN_TOURISM = Department(
    "gannan-tourism", "甘南州文体广电和旅游局", "116230009900000764", "623000", "甘南文旅"
)
DEPARTMENTS: tuple[Department, ...] = (HEZUO_MARKET, GANNAN_MARKET, GANNAN_TOURISM)
