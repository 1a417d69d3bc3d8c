"""Passing messages on to an upstream MCP server and back, as they are.

An endpoint that relays has no catalog of its own: what the upstream says reaches the client unchanged. Only what ties a
message to a connection is ours to rewrite: ids, and the answers to what the upstream asks of a legacy client.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from portico.gateway.protocol.bridge.bridge import Bridge
from portico.gateway.protocol.call import Call, ReadClient
from portico.gateway.protocol.dispatch import METHODS, Answer, Method, find_method, notice
from portico.gateway.protocol.limited import judge_limited, limited
from portico.gateway.protocol.params import UNSET
from portico.gateway.session.session import Session
from portico.net.errors import Busy, NetError
from portico.upstream.mcp.direct import Rest
from portico.upstream.mcp.hearing import RECONNECTED
from portico.upstream.mcp.upstream import Conversation, Hear, Heard, Hello, McpSpec, McpUpstream, Outcome
from portico.wire import errors, versions
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Message, encode_notification, encode_response

log = logging.getLogger("portico.relay")

_NEEDED = {"sampling/createMessage": "sampling", "elicitation/create": "elicitation", "roots/list": "roots"}
_LISTS = ("tools", "prompts", "resources")
_encode = msgspec.json.encode

Stand = Callable[[Session, Heard], None]
"""Takes what an upstream says that concerns no call, for one session."""


class Relay:
    """`find` knows the upstreams that run in this worker; `bridge` is for clients and upstreams that share no era."""

    def __init__(self, find: Callable[[McpSpec], McpUpstream | None], bridge: Bridge) -> None:
        self.bridge = bridge
        self._find = find
        self._initialize = Method(self.initialize, modern=False, without_session=True, opens_session=True)
        self._any = Method(self.ask)
        self._mirrored = {
            name: Method(self.ask, mirrored=method.mirrored) for name, method in METHODS.items() if method.mirrored
        }

    def method(self, name: str, modern: bool) -> Method:
        """What answers: nearly always the upstream, whatever the method is called. RpcError for a method that the
        era has not, which servers over stdio answer in many ways."""
        if modern and name in METHODS:
            find_method(name, modern)
        if not modern and name == "initialize":
            return self._initialize
        if not modern and name == "ping":
            return METHODS[name]
        return self._mirrored.get(name, self._any)

    async def initialize(self, call: Call) -> Answer:
        """Greet the upstream as this client would, and answer with what it answered (basic/lifecycle)."""
        session, spec, params = call.session, call.endpoint.upstream, call.params
        if session is None or spec is None:
            raise RpcError(errors.INVALID_REQUEST, "initialize cannot be part of a batch.")
        wanted = versions.negotiate(params.needed("protocol_version"), call.endpoint.oldest)
        capabilities = params.capabilities if params.capabilities is not UNSET else {}
        client = params.client_info if params.client_info is not UNSET else {}
        hello = _hello(session, spec, wanted or versions.LATEST_LEGACY, capabilities, client)
        try:
            conversation = await self._greet(session, spec, hello, client, self._standing(call))
        except NetError as error:
            raise unreachable(call, error) from error
        greeting = msgspec.json.decode(conversation.greeting, type=_Greeting)
        session.version = call.version = greeting.protocol_version
        session.client, session.capabilities = client, capabilities
        return _answer(call, b'"result":' + conversation.greeting)

    async def ask(self, call: Call) -> Answer:
        """Relay a request and wait for its end. What the upstream says before it goes to `call.notify`."""
        spec, allowed = call.endpoint.upstream, call.endpoint.allowed
        assert spec is not None
        if allowed is not None:
            empty = judge_limited(call, allowed)
            if empty is not None:
                return _answer(call, empty)
        outcome = await self.request(call, spec, call.raw)
        if allowed is not None and not outcome.is_error:
            outcome = Outcome(limited(call, outcome.member, allowed), False)
        return answered(call, outcome)

    async def request(
        self, call: Call, spec: McpSpec, params: bytes | None, stand: Stand | None = None, hear: Hear | None = None
    ) -> Outcome:
        """Have an upstream answer the call with these params; RpcError where it cannot. `stand` is told what concerns
        no call, where this opens the conversation. Where `hear` is told what comes ahead of the answer, the params may
        have another name than their headers say."""
        identifier = call.identifier
        assert identifier is not None
        call.relayed = True
        try:
            conversation = await self.conversation(call, spec, stand)
            headers = _headers(call, spec)
            if hear is not None:
                headers.pop("mcp-name", None)
            return await conversation.request(
                call.method,
                params,
                identifier=identifier,
                deadline=deadline(call, spec),
                hear=hear or (lambda heard: self.hear(call, heard)),
                headers=headers,
            )
        except NetError as error:
            raise unreachable(call, error) from error
        finally:
            if call.session is not None:
                call.session.forget_questions(call.call_id)

    def ready(self, spec: McpSpec, session: Session | None, capabilities: Mapping[str, Any]) -> object | None:
        """What `conversation` would give, where nothing has to be asked or opened first. The capabilities are those of
        a modern client."""
        if session is not None:
            return session.upstreams.get(spec)
        upstream = self._find(spec)
        if upstream is None or self.bridge.routes(spec):
            return None
        return upstream.ready or self.bridge.ready(upstream, capabilities)

    async def follow(self, call: Call, rest: Rest) -> Outcome:
        """The end of a call that is under way at the upstream."""
        try:
            return await rest
        except NetError as error:
            raise unreachable(call, error) from error
        finally:
            if call.session is not None:
                call.session.forget_questions(call.call_id)

    def forwarded(self, call: Call, spec: McpSpec) -> dict[str, str]:
        """The headers of the client that the document lets through, for a request of ours on its behalf."""
        found = {name: call.read_client("headers", name) for name in spec.forward_headers}
        return {name: value for name, value in found.items() if value is not None}

    async def take(self, call: Call, message: Message) -> None:
        """A client's notification, or its answer to what the upstream asked."""
        session = call.session
        if session is None:
            return
        if not message.is_notification:
            _answer_question(session, message)
        elif call.method == "notifications/cancelled":
            notice(call)
        elif call.method != "notifications/initialized":
            for conversation in tuple(session.upstreams.values()):
                try:
                    await conversation.notify(call.method, call.raw)
                except NetError as error:
                    log.warning("call %s: %s", call.call_id, error.message)

    async def _greet(
        self, session: Session, spec: McpSpec, hello: Hello, client: dict[str, Any], stand: Stand
    ) -> Conversation:
        conversation = await self._legacy(spec, hello, client)
        before = session.upstreams.get(spec)
        if before is not None or session.ended:
            conversation.release()
            return before or conversation
        session.upstreams[spec] = conversation
        session.when_ended(conversation.listen(lambda heard: stand(session, heard)))
        session.when_ended(conversation.release)
        return conversation

    async def conversation(self, call: Call, spec: McpSpec, stand: Stand | None = None) -> Conversation:
        """The conversation in which a call reaches an upstream, always in the era of the call's client.

        A legacy session has one with each of its upstreams, opened when it is first wanted and ended with the session.
        A modern call's is its own to use and needs no release. Raises RpcError or NetError.
        """
        if call.modern:
            return await self._modern(call, spec)
        session = call.session
        if session is None or not session.version:
            raise RpcError(errors.INVALID_REQUEST, "Send initialize first.")
        found = session.upstreams.get(spec)
        if found is not None:
            return found
        hello = _hello(session, spec, session.version, session.capabilities, session.client)
        return await self._greet(session, spec, hello, session.client, stand or self._standing(call))

    async def _modern(self, call: Call, spec: McpSpec) -> Conversation:
        upstream = self._upstream(spec)
        if await upstream.speaks("modern"):
            conversation = await upstream.modern()
            if call.version not in versions.MODERN:
                raise _unsupported(spec, _supported(conversation.greeting), call.version)
            return self.bridge.routed(conversation, spec, call)
        if call.version not in versions.MODERN:
            raise _unsupported(spec, versions.supported(call.endpoint.oldest), call.version)
        return await self.bridge.modern_client(upstream, call)

    async def _legacy(self, spec: McpSpec, hello: Hello, client: dict[str, Any]) -> Conversation:
        upstream = self._upstream(spec)
        if await upstream.speaks("legacy", hello):
            return await upstream.legacy(hello)
        return await self.bridge.legacy_client(upstream, hello, _encode(client))

    def _upstream(self, spec: McpSpec) -> McpUpstream:
        upstream = self._find(spec)
        if upstream is None:
            raise RpcError(errors.INTERNAL_ERROR, f"The server {spec.name} is not there; the log says why.")
        return upstream

    def hear(self, call: Call, heard: Heard) -> None:
        """Something about one call, ahead of its answer."""
        if heard.answer is None:
            if call.notify is not None:
                call.notify(_notification(heard))
        elif call.session is not None and not _can(call.session, heard.method):
            heard.answer(_refusal(f"This client did not declare that it answers {heard.method}."))
        elif call.notify is None or call.session is None:
            heard.answer(_refusal("This client cannot be asked here: it reads no messages ahead of an answer."))
        else:
            call.notify(call.session.ask(heard.method, heard.params, heard.answer, call.call_id))

    def _standing(self, call: Call) -> Stand:
        return self.stand if call.endpoint.allowed is None else self._stand_limited

    def _stand_limited(self, session: Session, heard: Heard) -> None:
        # Others who share the conversation may have subscribed; resources of the server are nothing of this caller's.
        if heard.method != "notifications/resources/updated":
            self.stand(session, heard)

    def stand(self, session: Session, heard: Heard) -> None:
        """Something that concerns no call, for everybody who shares the conversation."""
        if heard.method == RECONNECTED:
            for kind in _LISTS:
                session.standing.send(encode_notification(f"notifications/{kind}/list_changed"))
        elif heard.answer is None:
            session.standing.send(_notification(heard))
        elif not heard.claimed and _can(session, heard.method):
            heard.claimed = True
            session.standing.send(session.ask(heard.method, heard.params, heard.answer, ""))


def _unsupported(spec: McpSpec, offered: list[str], requested: str) -> RpcError:
    return RpcError(
        errors.UNSUPPORTED_VERSION,
        f"The server behind this endpoint, {spec.name}, speaks {', '.join(offered)} only.",
        {"supported": offered, "requested": requested[:64]},
        status=400,
    )


def _supported(greeting: bytes) -> list[str]:
    """What a modern server's greeting says that it speaks."""
    try:
        return msgspec.json.decode(greeting, type=_Greeting).supported_versions
    except msgspec.MsgspecError:
        return list(versions.MODERN)


def answered(call: Call, outcome: Outcome) -> Answer:
    """The upstream's answer as the call's."""
    if not outcome.is_error:
        return _answer(call, outcome.member)
    code = _code(outcome.member)
    answer = _answer(call, outcome.member)
    return Answer(answer.body, RpcError(code, "").http_status(call.modern), f"error {code}")


def _hello(
    session: Session, spec: McpSpec, version: str, capabilities: dict[str, Any], client: dict[str, Any]
) -> Hello:
    own = spec.session == "perClient"
    return Hello(
        version=version,
        capabilities=_encode(capabilities),
        client=_encode(client) if own else b"",
        owner=session.identifier if own else None,
    )


def _answer(call: Call, member: bytes) -> Answer:
    assert call.identifier is not None
    return Answer(encode_response(call.identifier, member), 200, "ok")


def unreachable(call: Call, error: NetError) -> RpcError:
    call.detail = error.message
    if isinstance(error, Busy):
        return RpcError(errors.OVERLOADED, f"{error.message}.", status=503, retry_after=1)
    return RpcError(errors.INTERNAL_ERROR, f"{error.message}.")


def _answer_question(session: Session, message: Message) -> None:
    answer = session.take_question(message.id) if isinstance(message.id, int | str) else None
    if answer is None:
        return
    if message.result is not UNSET:
        answer(b'"result":' + bytes(message.result))
    elif message.error is not UNSET:
        answer(b'"error":' + bytes(message.error))


def deadline(call: Call, spec: McpSpec) -> float:
    """What ends first: the time that the endpoint gives a call, or that the document gives this server."""
    if call.modern and call.method == "subscriptions/listen":
        return math.inf
    return min(call.deadline, call.started + spec.timeout)


def _headers(call: Call, spec: McpSpec) -> dict[str, str]:
    """Headers of the client's request that go on: what the document allows, and what mirrors a modern body."""
    return carried(spec, call.read_client, call.mirrors if call.modern else ())


def carried(spec: McpSpec, read: ReadClient, mirrors: Iterable[str]) -> dict[str, str]:
    found = {name: read("headers", name) for name in (*spec.forward_headers, *mirrors)}
    return {name: value for name, value in found.items() if value is not None}


def _notification(heard: Heard) -> bytes:
    head = b'{"jsonrpc":"2.0","method":%b' % _encode(heard.method)
    return head + (b',"params":%b}' % heard.params if heard.params is not None else b"}")


def _can(session: Session, method: str) -> bool:
    """Whether a client can be asked this; one that cannot may never answer, and hold its call up."""
    needed = _NEEDED.get(method)
    return needed is None or needed in session.capabilities


def _refusal(text: str) -> bytes:
    return b'"error":' + _encode({"code": errors.METHOD_NOT_FOUND, "message": text})


def _code(member: bytes) -> int:
    try:
        return msgspec.json.decode(member.partition(b":")[2], type=_Error).code
    except msgspec.MsgspecError:
        return errors.INTERNAL_ERROR


class _Error(msgspec.Struct):
    code: int


class _Greeting(msgspec.Struct, rename="camel"):
    protocol_version: str = ""
    supported_versions: list[str] = []
