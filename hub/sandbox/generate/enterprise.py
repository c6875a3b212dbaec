"""Enterprises of the made-up register."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hub.sandbox.generate import codes, names

#: kind -> (USCC prefix, party kind, weight)
_KINDS: dict[str, tuple[str, str, int]] = {
    "company": ("91", "法人", 42),
    "shop": ("92", "个体工商户", 36),
    "cooperative": ("93", "法人", 12),
    "collective": ("N2", "法人", 4),
    "temple": ("71", "法人", 3),
    "school": ("52", "法人", 3),
}


@dataclass(frozen=True, slots=True)
class Enterprise:
    """One subject. ``uscc`` is empty for the few that only have their old registration number."""

    name: str
    kind: str
    trade: str
    party_kind: str
    region: str
    uscc: str
    registration_number: str
    legal_representative: str
    legal_representative_id: str

    @property
    def code(self) -> str:
        """What fills a column that takes either number."""
        return self.uscc or self.registration_number

    @property
    def place(self) -> str:
        """Name of its county or city."""
        return names.REGIONS[self.region][0]


def make_enterprise(rng: Random) -> Enterprise:
    """The next enterprise of ``rng``."""
    kind = rng.choices(tuple(_KINDS), weights=[weight for _, _, weight in _KINDS.values()])[0]
    prefix, party_kind, _ = _KINDS[kind]
    region = names.pick_region(rng)
    name, trade = names.enterprise_name(rng, kind, region)
    is_registered = kind in ("company", "shop", "cooperative")
    number = ""
    if is_registered and rng.random() < 0.5:
        number = codes.make_registration_number(rng, region, is_individual=kind == "shop")
    uscc = codes.make_uscc(rng, prefix, region)
    if number and rng.random() < 0.06:
        uscc = ""  # registered before October 2015 and never exchanged its licence
    return Enterprise(
        name=name,
        kind=kind,
        trade=trade,
        party_kind=party_kind,
        region=region,
        uscc=uscc,
        registration_number=number,
        legal_representative=names.person_name(rng),
        legal_representative_id=codes.make_id_number(rng, region),
    )


def make_register(rng: Random, count: int) -> list[Enterprise]:
    """``count`` enterprises, no two of the same code or the same name."""
    register: list[Enterprise] = []
    seen: set[str] = set()
    while len(register) < count:
        enterprise = make_enterprise(rng)
        name = enterprise.name
        if name in seen:  # a register refuses a second one of the name in the same county
            continue
        if seen.isdisjoint(filter(None, (enterprise.uscc, enterprise.registration_number))):
            seen.update((name, enterprise.uscc, enterprise.registration_number))
            register.append(enterprise)
    return register


def traced_enterprise() -> Enterprise:
    """The one that the demo follows: inspected, penalised, listed and later removed."""
    return Enterprise(
        name="合作市雪域牦牛乳业有限责任公司",
        kind="company",
        trade="food",
        party_kind="法人",
        region="623001",
        uscc="91623000739699913A",
        registration_number="623000200001232",
        legal_representative="扎西东智",
        legal_representative_id="623021185006153029",
    )
