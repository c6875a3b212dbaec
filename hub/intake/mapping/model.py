"""Mapping files: which column goes into which field, how it is read, and what makes which event.

A mapping is data, the same for a spreadsheet's headings and a table's columns. A connector author writes
one without code; the models here refuse what cannot work, with every fault at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from hub.errors import ContractError

ParserName = Literal[
    "text",
    "number",
    "date",
    "amount-wan",
    "amount-yuan",
    "boolean",
    "code",
    "code-list",
    "text-list",
    "phone",
    "uscc",
    "registration",
    "uscc-or-registration",
    "certificate",
]
EventType = Annotated[str, StringConstraints(pattern=r"^[a-z-]+\.[a-z-]+\.[a-z-]+$")]
_SEPARATORS = "、；;,，"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Also(_Model):
    """A second field that the same cell fills, e.g. the code of a reason beside its text."""

    field: str
    parser: ParserName
    codes: dict[str, str] = {}
    code_list: str | None = None


class Column(_Model):
    """One heading. ``aliases`` are other spellings of it; ``readings`` other headings that are read
    differently, e.g. the same amount in 元.

    ``codes`` adds texts of the department's own to the schema's code list (text -> code).
    ``code_list`` names the list where the field itself has none. ``beside`` is the field for the
    other kind of number of ``uscc-or-registration``. ``required`` cells must be
    filled, and the heading be there, unless a default stands in. ``certificate_kind`` is the field that says
    what kind of certificate a number belongs to. ``default`` stands in for an empty cell;
    ``$department_name``, ``$department_code`` and ``$region_code`` are those of the source.
    ``default_field`` takes another field's value instead.
    """

    heading: str
    field: str
    parser: ParserName = "text"
    aliases: list[str] = []
    readings: dict[str, ParserName] = {}
    required: bool = False
    default: Any = None
    default_field: str | None = None
    codes: dict[str, str] = {}
    code_list: str | None = None
    separators: str = _SEPARATORS
    beside: str | None = None
    certificate_kind: str | None = None
    also: list[Also] = []


class Member(_Model):
    """One column of a group; ``certificate`` checks the check digit of ID card numbers."""

    heading: str
    parser: Literal["text", "number", "certificate"] = "text"
    aliases: list[str] = []


class Group(_Model):
    """Columns that hold several things each, pair by pair: names in one, numbers in another.

    The result is an array of records. The first member leads: every other must be empty or have
    as many parts. ``constants`` are added to each record that has a value for ``when``.
    """

    field: str
    members: Annotated[dict[str, Member], Field(min_length=1)]
    separators: str = _SEPARATORS
    required: bool = False
    constants: dict[str, str] = {}
    constants_with: str | None = None


class When(_Model):
    """A condition on one field: it exists (is filled) or not, or is one of some values."""

    field: str
    exists: bool | None = None
    values: list[Any] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> When:
        if (self.exists is None) == (self.values is None):
            raise ValueError("give exactly one of exists, values")
        return self

    def holds(self, value: dict[str, Any]) -> bool:
        """Whether the condition is true of a row's fields."""
        found = value.get(self.field)
        if self.exists is not None:
            return (found is not None) == self.exists
        return found in (self.values or ())


class State(_Model):
    """A state of the row and the event type that enters it; the first whose condition holds counts."""

    type: EventType
    when: When


class Removal(_Model):
    """What a row becomes that its system has no more: an event of this type with the row's last content.

    ``set`` fills fields of that event, e.g. the reason; ``$read_date`` is the day on which it was missed.
    """

    type: EventType
    set: dict[str, Any] = {}


class EventTypes(_Model):
    """``initial`` is the state of a row for which no other holds; ``changed`` a change within a state.

    ``changed`` ends in ``.amended``: by that the index, rebuilt from the topics, tells it from a state.
    ``removed`` is for sources that can tell that a row is gone (a whole table, an outbox).
    """

    initial: EventType
    changed: Annotated[str, StringConstraints(pattern=r"^[a-z-]+\.[a-z-]+\.amended$")]
    states: list[State] = []
    removed: Removal | None = None


class Party(_Model):
    """How ``party_kind`` is known where no column says it.

    ``organisation`` for a code of an organisation or a registration number, ``household`` for a code that
    begins with 92 (个体工商户). Who has none of them and a personal certificate is a natural person. ``unknown``
    is for rows with a name alone, and is only for kinds of rows that no person can be in: without it they count as
    natural persons, with a warning, or as what the register says, where the source asks it.
    """

    organisation: str = "02"
    household: str = "04"
    unknown: str | None = None


class Requirement(_Model):
    """A field that must be filled under a condition, with the words that say so."""

    field: str
    when: When
    problem: str
    remedy: str


class RowMapping(_Model):
    """One kind of row, whole. ``natural_key`` lists fields; the first alternative that is filled
    counts where an entry is a list."""

    kind: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: str
    schema_name: Annotated[str, Field(alias="schema")]
    topic: str
    natural_key: Annotated[list[str | list[str]], Field(min_length=1)]
    columns: Annotated[list[Column], Field(min_length=1)]
    groups: list[Group] = []
    constants: dict[str, Any] = {}
    events: EventTypes
    party: Party = Party()
    requires: list[Requirement] = []
    #: Rows of few cells that begin with one of these are the end of a printed form, not data.
    footers: list[str] = [
        "合计",
        "总计",
        "小计",
        "填表人",
        "制表人",
        "填报人",
        "审核人",
        "备注：",
        "注：",
        "说明：",
    ]

    @model_validator(mode="after")
    def _fits_together(self) -> RowMapping:
        headings = [
            name for column in self.columns for name in (column.heading, *column.aliases, *column.readings)
        ]
        headings += [
            name
            for group in self.groups
            for member in group.members.values()
            for name in (member.heading, *member.aliases)
        ]
        doubles = sorted({name for name in headings if headings.count(name) > 1})
        if doubles:
            raise ValueError(f"heading used twice: {', '.join(doubles)}")
        fields = [column.field for column in self.columns] + [group.field for group in self.groups]
        fields += [also.field for column in self.columns for also in column.also]
        doubles = sorted({name for name in fields if fields.count(name) > 1})
        if doubles:
            raise ValueError(f"field filled by two columns: {', '.join(doubles)}")
        known = {*fields, *self.constants, *(c.beside for c in self.columns if c.beside)}
        for entry in self.natural_key:
            for name in [entry] if isinstance(entry, str) else entry:
                if name not in known:
                    raise ValueError(f"natural_key names {name}, which no column fills")
        if self.events.removed and (unknown := sorted(set(self.events.removed.set) & self.key_fields)):
            raise ValueError(f"events.removed sets {', '.join(unknown)}, by which the row is known")
        for column in self.columns:
            if column.parser == "uscc-or-registration" and not column.beside:
                raise ValueError(f"column {column.heading}: uscc-or-registration needs beside")
        return self

    @property
    def filled_fields(self) -> set[str]:
        """Every field of the schema that a row of this kind can fill."""
        names = {column.field for column in self.columns} | {group.field for group in self.groups}
        names |= {also.field for column in self.columns for also in column.also}
        return names | set(self.constants) | {column.beside for column in self.columns if column.beside}

    @property
    def key_fields(self) -> frozenset[str]:
        """Every field that the natural key may be made of."""
        return frozenset(
            name for entry in self.natural_key for name in ([entry] if isinstance(entry, str) else entry)
        )


def load_mapping(name: str, folder: Path | None = None) -> RowMapping:
    """The mapping of that name in a connector's ``folder``, or of that path when it ends in .yaml.

    :raises ContractError: when it is missing or wrong, naming every fault.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    elif folder is not None:
        path = folder / f"{name}.yaml"
    else:
        raise ContractError(f"mapping {name}: give the path of a file that ends in .yaml")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(mapping_names(folder)) if folder else "none"
        raise ContractError(f"unknown mapping {name}; there are: {known}") from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractError(f"mapping {path.name}: {error}") from error
    try:
        return RowMapping.model_validate(data)
    except ValidationError as error:
        faults = "\n".join(
            f"  {'.'.join(map(str, fault['loc'])) or 'mapping'}: {fault['msg']}" for fault in error.errors()
        )
        raise ContractError(f"mapping {path.name}:\n{faults}") from error


def mapping_names(folder: Path) -> list[str]:
    """Names of the mappings that a connector brings along in that folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))
