"""Who is known to the demo service: the shapes of a user, and the directory that keeps them in memory."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from portico.demo.media import portrait

MAX_USERS = 10_000

Email = Annotated[
    str,
    Field(
        pattern=r"^[^@\s]+@[^@\s]+$",
        max_length=254,
        description="E-mail address, unique among the users",
        json_schema_extra={"format": "email"},
        examples=["linus@example.com"],
    ),
]
ClockTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["22:00"])]


class Shape(BaseModel):
    """A JSON object of the API: what it does not name is refused rather than dropped in silence."""

    model_config = ConfigDict(extra="forbid")


class Role(StrEnum):
    """What a user may do."""

    ADMIN = "admin"
    USER = "user"


class Theme(StrEnum):
    """How the service looks to the user."""

    LIGHT = "light"
    DARK = "dark"
    SYSTEM = "system"


class QuietHours(Shape):
    """The part of the day in which nothing is sent; it may span midnight."""

    from_: ClockTime = Field(alias="from", description="Start, as HH:MM")
    to: ClockTime = Field(description="End, as HH:MM", examples=["07:00"])


class Notifications(Shape):
    """How the user wants to be told of things."""

    email: bool = Field(default=True, description="By e-mail")
    push: bool = Field(default=False, description="On the telephone")
    quiet_hours: QuietHours | None = Field(default=None, alias="quietHours", description="When not to")


class Favourite(Shape):
    """Something the user has marked."""

    kind: str = Field(min_length=1, max_length=64, description="What it is", examples=["book"])
    id: int = Field(description="Its number; may be larger than 64 bits", examples=[42])


class Preferences(Shape):
    """What the user likes."""

    language: str = Field(default="en", min_length=2, max_length=35, description="Language tag", examples=["en-GB"])
    theme: Theme = Field(default=Theme.SYSTEM, description="How the service looks")
    notifications: Notifications = Field(default_factory=Notifications, description="How to be told of things")
    favourites: list[Favourite] = Field(default_factory=list, max_length=1000, description="What the user has marked")


class Registration(Shape):
    """What is needed to become a user."""

    username: str = Field(min_length=1, max_length=64, description="Name to be shown", examples=["linus"])
    email: Email
    role: Role = Field(default=Role.USER, description="What the user may do")
    tags: list[str] = Field(default_factory=list, max_length=100, description="Free words", examples=[["kernel"]])
    preferences: Preferences = Field(default_factory=Preferences, description="What the user likes")


class User(Registration):
    """A user as the service knows them."""

    id: str = Field(description="Number of the user, as text", examples=["1"])
    created_at: datetime = Field(alias="createdAt", description="When the user registered")


class DirectoryFull(Exception):
    """No more users fit into the memory that the demo allows itself."""


class EmailTaken(Exception):
    """Another user has this e-mail address."""


@dataclass
class Directory:
    """All users, by id. Filled with two of them at the start."""

    users: dict[str, User] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    registered: int = 0

    def register(self, registration: Registration) -> User:
        if self.by_email(registration.email) is not None:
            raise EmailTaken(registration.email)
        if len(self.users) >= MAX_USERS:
            raise DirectoryFull
        self.registered += 1
        known = {name: getattr(registration, name) for name in Registration.model_fields}
        user = User(**known, id=str(self.registered), createdAt=datetime.now(UTC))
        self.users[user.id] = user
        return user

    def by_email(self, email: str) -> User | None:
        return next((user for user in self.users.values() if user.email.lower() == email.lower()), None)

    def by_username(self, username: str) -> User | None:
        return next((user for user in self.users.values() if user.username == username), None)

    def remove(self, user: User) -> None:
        del self.users[user.id]
        self.pictures.pop(user.id, None)


def seeded() -> Directory:
    """A directory with Ada, who is an admin, and Grace; both have a picture."""
    directory = Directory()
    for registration in (
        Registration(
            username="ada",
            email="ada@example.com",
            role=Role.ADMIN,
            tags=["mathematics", "engines"],
            preferences=Preferences(theme=Theme.DARK, favourites=[Favourite(kind="book", id=7)]),
        ),
        Registration(username="grace", email="grace@example.com", tags=["compilers", "navy"]),
    ):
        user = directory.register(registration)
        directory.pictures[user.id] = portrait(user.username)
    return directory
