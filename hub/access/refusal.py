"""What is refused of accounts, by a slug that pages translate."""

from __future__ import annotations

from collections.abc import Mapping

from hub.errors import InputError

#: Slug -> the sentence that commands print. Pages have the same slugs in their catalogs (``refusal.<slug>``).
SENTENCES: Mapping[str, str] = {
    "name-form": "a name has 3 to 40 small letters, digits, dots and hyphens, begins with a letter and holds no "
    "number of a person",
    "name-taken": "there is an account {name} already",
    "display-name-missing": "a display name of 1 to 60 characters is needed",
    "account-unknown": "there is no account {name}",
    "department-unknown": "there is no department {department}",
    "role-unknown": "there is no role {role}",
    "roles-none": "an account needs a role",
    "roles-auditor-alone": "an auditor has no other role: who audits changes nothing",
    "roles-wide": "operators and auditors are made by the lead agency's administrator",
    "not-yourself": "nobody changes the roles or the state of his own account",
    "password-short": "a password has at least {least} characters",
    "password-long": "a password has at most {most} characters",
    "password-common": "this password stands on lists of common ones; take another",
    "password-simple": "a password of one character or one series repeated is guessed at once",
    "password-personal": "a password must not hold the name of the account",
    "password-same": "the new password is the old one",
    "password-wrong": "the present password is not right",
    "password-repeat": "the two passwords differ",
    "reason-missing": "a reason is needed; it stays on record",
    "purpose-missing": "a purpose of at least {least} characters is needed; it stays on record",
    "state-same": "the account {name} is {state} already",
    "report-unknown": "there is no report {name}",
    "report-done": "the report {name} was acknowledged already",
    "key-unknown": "there is no key {name}",
    "key-ended": "the key {name} was ended already",
    "key-scope": "there is no scope {scope}; there are: {known}",
    "key-scope-wide": "the scope {scope} reaches all departments: it is for keys of {department} alone",
    "key-expiry": "a key ends within {most} days",
}


class RefusalError(InputError):
    """Something of accounts is refused. ``slug`` is a key of SENTENCES, ``values`` fill its sentence."""

    def __init__(self, slug: str, **values: object) -> None:
        super().__init__(SENTENCES[slug].format(**values))
        self.slug, self.values = slug, values
