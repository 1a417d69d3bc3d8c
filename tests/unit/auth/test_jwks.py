"""The public keys of an issuer: when they are fetched, what becomes of an issuer that is down, slow or hostile."""

import asyncio
import json
from typing import Any

import pytest
from tests.fakes.issuer import AUDIENCE, ISSUER, Issuer, encoded, private

from portico.auth.jwks import FLOOR, FRESH, KEPT, MOST_BYTES, Jwks, KeySets
from portico.auth.principal import Refused
from portico.auth.tokens import CHECKED, MOST_TOKENS, TokenGuard, TokenRules
from portico.auth.web_key import MOST_KEYS, read_keys
from portico.net.errors import TimedOut, Unreachable
from portico.net.response import Head, Response

pytestmark = pytest.mark.anyio
RULES = TokenRules(ISSUER, (AUDIENCE,), ("RS256",))


class Server:
    """Answers in place of the issuer; `answer` may be an exception."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.answer: Exception | Response | None = None
        self.asked = 0
        self.held: asyncio.Event | None = None

    async def send(self, origin: Any, data: bytes, **_: Any) -> Response:
        self.asked += 1
        if self.held is not None:
            await self.held.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or Response(Head(200, b"", b""), self.issuer.document())


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.issuer = Issuer({"r1": "RS256"})
        self.server = Server(self.issuer)
        self.jwks = Jwks("https://id.example.com/keys", self.server, lambda: self.now)  # type: ignore[arg-type]
        self.guard = TokenGuard(RULES, self.jwks)

    async def admits(self, token: str) -> bool:
        try:
            await self.guard.verify(token)
        except Refused:
            return False
        return True

    async def settled(self) -> None:
        """What was begun in the background is done."""
        if self.jwks._fetching is not None:
            await self.jwks._fetching


async def test_keys_are_fetched_once_for_everybody_who_waits() -> None:
    world = World()
    world.server.held = asyncio.Event()
    waiting = [asyncio.ensure_future(world.admits(world.issuer.token(sub=f"p{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    world.server.held.set()
    assert await asyncio.gather(*waiting[1:]) == [True] * 19
    assert world.server.asked == 1


async def test_a_new_key_of_the_issuers_is_found_when_a_token_names_it_but_no_sooner_than_the_floor() -> None:
    world = World()
    assert await world.admits(world.issuer.token())
    world.issuer.published["r2"] = "RS256"
    assert not await world.admits(world.issuer.token("r2"))
    world.now += FLOOR
    assert await world.admits(world.issuer.token("r2"))
    assert world.server.asked == 2


async def test_tokens_that_name_keys_nobody_has_cause_one_fetch_and_no_more() -> None:
    world = World()
    assert await world.admits(world.issuer.token())
    world.now += FLOOR
    for number in range(50):
        assert not await world.admits(world.issuer.token(f"made-up-{number}", of="r1"))
    assert world.server.asked == 2


async def test_a_key_that_the_issuer_took_back_is_good_no_more_once_its_keys_are_looked_at_again() -> None:
    world = World()
    old = world.issuer.token()
    assert await world.admits(old)
    world.issuer.published = {"r2": "RS256"}
    world.now += FRESH + 1
    assert await world.admits(world.issuer.token(jti="new"))  # What was known serves while the new keys are fetched.
    await world.settled()
    world.guard._checked.clear()
    assert not await world.admits(old)


@pytest.mark.parametrize(
    "failure",
    [
        Unreachable("nobody there"),
        TimedOut("too slow"),
        Response(Head(302, b"", b""), b""),
        Response(Head(500, b"", b""), b""),
        Response(Head(200, b"", b""), b"<html>"),
        Response(Head(200, b"", b""), b'{"keys": []}'),
        Response(Head(200, b"", b""), b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "r1"}]}'),
        Response(Head(200, b"", b""), b'{"keys": "' + b"x" * MOST_BYTES + b'"}'),
        Response(Head(200, b"", b""), b"[" * 100_000),
        RuntimeError("a defect"),
    ],
    ids=str,
)
async def test_the_last_good_keys_serve_while_the_issuer_fails_but_not_for_ever(failure: Exception | Response) -> None:
    world = World()
    assert await world.admits(world.issuer.token())
    world.server.answer = failure
    for _ in range(5):
        world.now += FRESH + 1
        assert await world.admits(world.issuer.token(jti=str(world.now)))
        await world.settled()
    world.now += KEPT
    assert not await world.admits(world.issuer.token(jti="late"))
    world.server.answer = None
    world.now += FLOOR
    assert await world.admits(world.issuer.token(jti="later"))


async def test_without_keys_nobody_gets_in() -> None:
    world = World()
    world.server.answer = Unreachable("nobody there")
    assert not await world.admits(world.issuer.token())
    assert not await world.admits(world.issuer.token())
    assert world.server.asked == 1


async def test_what_was_verified_is_remembered_for_a_while_and_not_without_bound() -> None:
    world = World()
    token = world.issuer.token()
    now = world.guard._clock()
    world.guard._clock = lambda: now
    principal = await world.guard.verify(token)
    assert world.guard.known(token) is principal
    world.guard._clock = lambda: now + CHECKED
    assert world.guard.known(token) is None
    world.guard._clock = lambda: now
    for number in range(MOST_TOKENS + 10):
        world.guard._remember(f"token {number}", principal)
    assert len(world.guard._checked) <= MOST_TOKENS
    short = await world.guard.verify(world.issuer.token(exp=int(now) + 2))
    world.guard._clock = lambda: now + 3
    assert world.guard.still(short) is None
    assert world.guard.still(principal) is principal


async def test_extensions_that_are_not_understood_are_refused() -> None:
    import jwt

    claims = jwt.decode(World().issuer.token(), options={"verify_signature": False})
    token = jwt.encode(claims, private("RS256", "r1"), "RS256", {"kid": "r1", "crit": ["exp"]})
    assert not await World().admits(token)
    assert not await World().admits(f"{encoded({'alg': 'RS256', 'kid': 7})}.e30.e30")


async def test_a_key_verifies_nothing_but_what_its_issuer_made_it_for() -> None:
    world = World()
    world.guard = TokenGuard(TokenRules(ISSUER, (AUDIENCE,), ("RS256", "PS256", "ES256")), world.jwks)
    world.issuer.published = {"r1": "RS256", "e1": "ES256"}
    assert await world.admits(world.issuer.token("r1", "RS256"))
    assert await world.admits(world.issuer.token("e1", "ES256"))
    assert not await world.admits(world.issuer.token("r1", "PS256"))
    assert not await world.admits(world.issuer.token("e1", "RS256", of="r1"))
    assert not await world.admits(world.issuer.token("r1", "ES256", of="e1"))


def test_of_a_set_only_public_keys_that_sign_are_read_and_not_too_many() -> None:
    good = Issuer().public("r1", "RS256")
    entries = [{"kty": "oct", "k": "AAAA"}, {**good, "use": "enc"}, {"kty": "EC"}]
    entries.append({"kty": "RSA", "n": "AQAB", "e": "AQAB"})
    assert [key.kid for key in read_keys(json.dumps({"keys": [*entries, good]}).encode())] == ["r1"]
    assert len(read_keys(json.dumps({"keys": [good] * 200}).encode())) == MOST_KEYS


def test_documents_that_name_the_same_keys_share_them() -> None:
    sets = KeySets(Server(Issuer()))  # type: ignore[arg-type]
    assert sets.find("https://a.example/keys") is sets.find("https://a.example/keys")
    for number in range(KeySets.MOST + 5):
        sets.find(f"https://{number}.example/keys")
    assert len(sets._found) == KeySets.MOST
