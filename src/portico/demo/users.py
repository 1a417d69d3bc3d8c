"""Routes under /users: register, find, change and remove users, their pictures and their greetings."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, Response, UploadFile
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from portico.demo.media import PNG_SIGNATURE, greeting
from portico.demo.people import Directory, DirectoryFull, EmailTaken, Preferences, Registration, Role, User
from portico.demo.problems import documented

MAX_PICTURE = 2 * 1024 * 1024

routes = APIRouter(prefix="/users", tags=["users"])


async def directory(request: Request) -> Directory:
    return request.app.state.directory


async def user_of_email(
    request: Request,
    email: Annotated[str, Path(description="E-mail address of the user", examples=["ada@example.com"])],
) -> User:
    user = (await directory(request)).by_email(email)
    if user is None:
        raise HTTPException(404, "no user has this e-mail address; GET /users lists them all")
    return user


async def user_of_id(
    request: Request, id: Annotated[str, Path(description="Number of the user", examples=["1"])]
) -> User:
    user = (await directory(request)).users.get(id)
    if user is None:
        raise HTTPException(404, "no user has this id; GET /users lists them all")
    return user


People = Annotated[Directory, Depends(directory)]
ByEmail = Annotated[User, Depends(user_of_email)]
ById = Annotated[User, Depends(user_of_id)]


class UserPage(BaseModel):
    """A part of the users."""

    total: int = Field(description="How many users match, on all pages", examples=[2])
    users: list[User] = Field(description="The matching users from `offset` on, oldest first")


class Upload(BaseModel):
    """What arrived as a picture."""

    sha256: str = Field(description="Digest of the file, in hexadecimal")
    size: int = Field(description="Bytes of the file", examples=[312])
    content_type: str = Field(alias="contentType", description="Media type of the part", examples=["image/png"])
    filename: str = Field(description="File name of the part", examples=["avatar.png"])
    caption: str = Field(description="The text sent with it")


@routes.post(
    "", operation_id="registerUser", summary="Register a user", status_code=201, responses=documented(409, 503)
)
async def register(registration: Registration, people: People) -> User:
    """Create a user. The e-mail address must not be in use."""
    try:
        return people.register(registration)
    except EmailTaken:
        raise HTTPException(409, "another user has this e-mail address; choose a different one") from None
    except DirectoryFull:
        raise HTTPException(503, "the demo holds no more users; delete some or start it anew") from None


@routes.get("", operation_id="listUsers", summary="List users")
async def list_users(
    people: People,
    role: Annotated[Role | None, Query(description="Only users of this role")] = None,
    tag: Annotated[list[str] | None, Query(description="Only users with all of these tags; may be repeated")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most users to answer with")] = 20,
    offset: Annotated[int, Query(ge=0, description="How many matching users to skip")] = 0,
) -> UserPage:
    """Users in the order in which they registered, filtered by role and tags."""
    wanted = set(tag or ())
    found = [user for user in people.users.values() if role in (None, user.role) and wanted <= set(user.tags)]
    return UserPage(total=len(found), users=found[offset : offset + limit])


@routes.get("/{id}", operation_id="getUser", summary="Get a user", responses=documented(404))
async def get_user(user: ById) -> User:
    """Look a user up by number."""
    return user


@routes.get("/email/{email}", operation_id="getUserByEmail", summary="Get a user by e-mail", responses=documented(404))
async def get_user_by_email(user: ByEmail) -> User:
    """Look a user up by e-mail address, in upper or lower case."""
    return user


@routes.delete("/{id}", operation_id="deleteUser", summary="Delete a user", status_code=204, responses=documented(404))
async def delete_user(user: ById, people: People) -> None:
    """Remove a user and their picture."""
    people.remove(user)


@routes.put(
    "/{email}/preferences", operation_id="setPreferences", summary="Change preferences", responses=documented(404)
)
async def set_preferences(preferences: Preferences, user: ByEmail) -> User:
    """Replace all preferences of a user; what is left out gets its default."""
    user.preferences = preferences
    return user


@routes.post("/{email}/avatar", operation_id="uploadAvatar", summary="Upload a picture", responses=documented(404, 413))
async def upload_avatar(
    user: ByEmail,
    people: People,
    avatar: Annotated[UploadFile, File(description="The picture, at most 2 MiB")],
    caption: Annotated[str, Form(description="What it shows", max_length=1000)] = "",
) -> Upload:
    """Send a picture of a user. A PNG is kept as their avatar; any other file is only measured."""
    content = await avatar.read()
    if len(content) > MAX_PICTURE:
        raise HTTPException(413, "a picture has at most 2 MiB")
    if content.startswith(PNG_SIGNATURE):
        people.pictures[user.id] = content
    return Upload(
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        contentType=avatar.content_type or "",
        filename=avatar.filename or "",
        caption=caption,
    )


@routes.get(
    "/{email}/avatar.png",
    operation_id="getAvatar",
    summary="Get a picture",
    response_class=Response,
    responses=documented(404) | {200: {"content": {"image/png": {}}, "description": "The picture"}},
)
async def get_avatar(user: ByEmail, people: People) -> Response:
    """The picture of a user, as a PNG."""
    picture = people.pictures.get(user.id)
    if picture is None:
        raise HTTPException(404, "this user has no picture yet; POST one to /users/{email}/avatar")
    return Response(picture, media_type="image/png")


@routes.get(
    "/{email}/greeting.wav",
    operation_id="getGreeting",
    summary="Get a greeting",
    response_class=Response,
    responses=documented(404) | {200: {"content": {"audio/wav": {}}, "description": "The sound"}},
)
async def get_greeting(user: ByEmail) -> Response:
    """Two notes that belong to a user, as a WAV of a quarter of a second."""
    return Response(greeting(user.username), media_type="audio/wav")
