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
_CODE_LIST = "Name of the code list, where the field itself has none."


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _says(description: str, default: Any = ..., **more: Any) -> Any:
    """A field with what the documents say of it."""
    return Field(default, description=description, **more)


class Also(_Model):
    """A second field that the same cell fills, e.g. the code of a reason beside its text."""

    field: str = _says("Field of the schema.")
    parser: ParserName = _says("How the cell is read for it.")
    codes: dict[str, str] = _says("As of a column.", {})
    code_list: str | None = _says(_CODE_LIST, None)


class Column(_Model):
    """One heading and the field that it fills."""

    heading: str = _says("The heading; of a table the column's name, of JSON a dotted path.")
    field: str = _says("Field of the schema.")
    parser: ParserName = _says("How the cell is read.", "text")
    aliases: list[str] = _says("Other spellings of the heading.", [])
    readings: dict[str, ParserName] = _says(
        "Other headings that are read differently, with their parsers, e.g. the same amount in 元.", {}
    )
    required: bool = _says(
        "Whether the cell must be filled, and the heading be there, unless a default stands in.", False
    )
    default: Any = _says(
        "Stands in for an empty cell; `$department_name`, `$department_code` and `$region_code` are the source's.", None
    )
    default_field: str | None = _says("Takes another field's value instead.", None)
    codes: dict[str, str] = _says("Texts of the department's own beside the code list's, each with its code.", {})
    code_list: str | None = _says(_CODE_LIST, None)
    separators: str = _says("What may stand between several values.", _SEPARATORS)
    beside: str | None = _says("Field for the other kind of number of `uscc-or-registration`.", None)
    certificate_kind: str | None = _says(
        "Of a `certificate`: the field that says what kind it is; a number of an ID card fills it where it is empty.",
        None,
    )
    also: list[Also] = _says("Further fields that the same cell fills.", [])


class Member(_Model):
    """One column of a group."""

    heading: str = _says("The heading.")
    parser: Literal["text", "number", "certificate"] = _says(
        "`text`, `number` or `certificate`, which looks at the check character of ID card numbers.", "text"
    )
    aliases: list[str] = _says("Other spellings of the heading.", [])


class Group(_Model):
    """Columns that hold several things each, pair by pair: names in one, numbers in another. They become an array of
    records. The first member leads: every other must be empty or have as many parts."""

    field: str = _says("The field of the schema, an array of records.")
    members: Annotated[dict[str, Member], Field(min_length=1)] = _says("Field of a record: its column.")
    separators: str = _says("What may stand between the parts.", _SEPARATORS)
    required: bool = _says("Whether the first member must be filled.", False)
    constants: dict[str, str] = _says("What every record gets besides.", {})
    constants_with: str | None = _says("The member without whose value a record gets no constants.", None)


class When(_Model):
    """A condition on one field: `exists` or `values`, one of the two."""

    field: str = _says("Field of the schema.")
    exists: bool | None = _says("Whether it is filled.", None)
    values: list[Any] | None = _says("What it is one of.", None)

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
    """A state of the row; of several the first whose condition holds."""

    type: EventType = _says("Type of the event that enters it.")
    when: When = _says("The condition.")


class Removal(_Model):
    """What a row becomes that its system has no more: an event with the row's last content."""

    type: EventType = _says("Type of the event.")
    set: dict[str, Any] = _says(
        "Fields of that event, e.g. the reason; `$read_date` is the day on which the row was missed.", {}
    )


class EventTypes(_Model):
    """Which events rows become."""

    initial: EventType = _says("The state of a row for which no other holds.")
    # By its end the index, rebuilt from the topics, tells it from a state.
    changed: Annotated[str, StringConstraints(pattern=r"^[a-z-]+\.[a-z-]+\.amended$")] = _says(
        "A change within a state; ends in `.amended`."
    )
    states: list[State] = _says("Other states, each with its condition.", [])
    removed: Removal | None = _says(
        "What a row becomes that is gone; needed where a source tells it (a whole table, an outbox).", None
    )


class Party(_Model):
    """How `party_kind` is known where no column says it. Who has neither code nor registration number, but a personal
    certificate, is a natural person (`01`)."""

    organisation: str = _says("For a unified social credit code or a registration number.", "02")
    household: str = _says("For a code that begins with 92 (个体工商户).", "04")
    unknown: str | None = _says(
        "For a name alone, where no natural person can stand in such rows. Without it they count as natural persons, "
        "with a warning, or, where the source asks the register, as what that says.",
        None,
    )


class Requirement(_Model):
    """A field that must be filled under a condition. That a record which is kept from the public gives a reason needs
    none: it is asked of every row."""

    field: str = _says("Field of the schema.")
    when: When = _says("The condition.")
    problem: str = _says("What is wrong, in the clerk's words.")
    remedy: str = _says("What would be right.")


class RowMapping(_Model):
    """One kind of row, whole."""

    kind: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")] = _says(
        "Its name: lower case with hyphens."
    )
    title: str = _says("What people call it.")
    schema_name: str = _says("Name of the schema, as `hub schemas list` has it.", alias="schema")
    topic: str = _says("Topic of its events, one of the map's.")
    natural_key: Annotated[list[str | list[str]], Field(min_length=1)] = _says(
        "Fields by which a row is known for ever; of a list among them the first that is filled."
    )
    columns: Annotated[list[Column], Field(min_length=1)] = _says("Headings and their fields.")
    groups: list[Group] = _says("Columns that hold several things each.", [])
    constants: dict[str, Any] = _says("Fields that are the same in every row; `$department_name` and the like too.", {})
    events: EventTypes = _says("Which events rows become.")
    party: Party = _says("How the kind of party is known where no column says it.", Party())
    requires: list[Requirement] = _says("Fields that must be filled under a condition.", [])
    footers: list[str] = _says(
        "Rows of few cells that begin with one of these are the end of a printed form, not data.",
        [
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
        ],
    )

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
