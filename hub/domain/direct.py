"""Direct Kafka: the names by which a department comes in, all of which follow from its subscription."""

from __future__ import annotations

import secrets

#: How a department shows who it is, by Kafka's own name.
SCRAM = "SCRAM-SHA-512"
#: Users of departments begin so, and no other user of the cluster does.
USER_PREFIX = "dept-"


def inbox_of(subscription: str) -> str:
    """The topic that the department reads."""
    return f"inbox.{subscription}"


def user_of(subscription: str) -> str:
    """The user that the department shows itself as."""
    return f"{USER_PREFIX}{subscription}"


def group_of(subscription: str) -> str:
    """The consumer group whose commits acknowledge notices."""
    return user_of(subscription)


def other_groups_of(subscription: str) -> str:
    """How further groups of the department begin: for trying out and reading again; they acknowledge nothing.

    The dot keeps ``works`` out of the groups of ``works-bidding``: no name of a subscription holds one.
    """
    return f"{user_of(subscription)}."


def answers_of(subscription: str) -> str:
    """The topic that the department writes its answers to."""
    return f"answers.{subscription}"


def problems_of(subscription: str) -> str:
    """The topic on which the department finds what was wrong with its answers."""
    return f"answer-problems.{subscription}"


def is_departments(topic: str) -> bool:
    """Whether departments write the topic: what stands in its headers is then anybody's word."""
    return topic.startswith("answers.")


def new_password() -> str:
    """256 random bits, in letters that need no quotes in a file of settings."""
    return secrets.token_urlsafe(32)
