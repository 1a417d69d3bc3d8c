"""What clients do with the example documents, and what must come of it: the operation, the request that reaches the
demo service, and the answer. Every tool, prompt, resource and template of the examples is here.

`cases(mark, doomed)` gives the table for one run: `mark` is a word that no run before had, because the demo remembers
its users; `doomed` is the number of a user that the run may delete (see `register`).
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
from tests.e2e.case import Case, Sent, json_of

from portico.demo.media import greeting, page, portrait

TRACE = "trace-7"
HEADERS = {"X-Trace": TRACE}
"""What every client of this table sends with its requests."""

ADA = "ada@example.com"
PNG = base64.b64encode(portrait("ada")).decode()


def register(demo: str, mark: str) -> str:
    """The number of a new user of the demo service, who is there to be deleted."""
    body = {"username": f"doomed-{mark}", "email": f"doomed-{mark}@example.com"}
    answer = httpx.post(f"{demo}/users", json=body, trust_env=False)
    answer.raise_for_status()
    return answer.json()["id"]


def text(expected: Any) -> list[Any]:
    return [{"type": "text", "text": expected}]


def call(
    endpoint: str, tool: str, arguments: dict[str, Any], sent: Sent | None, content: Any, structured: Any = None
) -> Case:
    operation = {"op": "callTool", "name": tool, "arguments": arguments}
    result = {"content": content, "isError": lambda given: given in (None, False)}
    return Case(endpoint, operation, sent, result, structured=structured)


def refused(endpoint: str, tool: str, arguments: dict[str, Any], sent: Sent | None, why: str) -> Case:
    """A call whose answer says why it failed. `sent` is None for one that must not reach the service."""
    operation = {"op": "callTool", "name": tool, "arguments": arguments}
    return Case(endpoint, operation, sent, {"content": text(re.compile(why)), "isError": True})


def cases(mark: str, doomed: str) -> list[Case]:
    """Everything, in an order that works: a user is registered before it is changed."""
    return [*_users(mark, doomed), *_prompts(), *_resources(), *_echo()]


def of_tools(found: Sequence[Case]) -> list[Case]:
    """The tool calls alone, for clients that can do nothing else."""
    return [case for case in found if case.operation["op"] == "callTool"]


def _users(mark: str, doomed: str) -> list[Case]:
    email, tag = f"linus-{mark}@example.com", f"tag {mark}"
    picture = portrait(mark)
    ada = {"id": "1", "username": "ada", "role": "admin", "tags": ["mathematics", "engines"]}
    short = {
        "id": "1",
        "name": "ada",
        "email": ADA,
        "admin": True,
        "tags": ["mathematics", "engines"],
        "summary": "Ada has 2 tags",
    }
    linus = {"username": "linus", "email": email, "role": "user", "tags": [tag, "kernel"]}
    preferences = {
        "language": "fi",
        "notifications": {"push": True, "quietHours": {"from": "22:00", "to": "07:00"}},
        "favourites": [{"kind": "book", "id": 7}, {"kind": "tune", "id": 9}],
    }
    by_mail = Sent("GET", f"/users/email/{ADA}", headers={"authorization": None})
    guest = {
        "username": f'Ann "{mark}"',
        "email": f'ann."{mark}"@guests.example.com',
        "role": "user",
        "tags": ["guest"],
        "preferences": {"theme": "system", "notifications": {"email": False}},
    }
    return [
        call("/users", "get_user", {"id": "1"}, Sent("GET", "/users/1"), text(json_of(ada)), ada),
        call(
            "/users",
            "get_user_by_email",
            {"email": "Ada@Example.com"},
            Sent("GET", "/users/email/Ada@Example.com", headers={"x-trace": TRACE, "mcp-session-id": None}),
            text(json_of(short)),
            short,
        ),
        refused(
            "/users",
            "get_user_by_email",
            {"email": f"nobody-{mark}@example.com"},
            Sent("GET", f"/users/email/nobody-{mark}@example.com"),
            "^HTTP 404 Not Found\n.*no user has this e-mail address",
        ),
        refused("/users", "get_user_by_email", {"email": "ada"}, None, "^Invalid arguments .*email"),
        refused("/users", "get_user_by_email", {}, None, "^Invalid arguments .*email"),
        call(
            "/users",
            "register_user",
            {**linus, "preferences": {"theme": "dark"}},
            Sent("POST", "/users", body={**linus, "preferences": {"theme": "dark", "language": "en"}}),
            text(json_of(linus)),
            {**linus, "preferences": {"theme": "dark"}},
        ),
        refused(
            "/users",
            "register_user",
            {"username": "linus", "email": email},
            Sent("POST", "/users", body={"username": "linus", "email": email, "role": "user", "tags": []}),
            "^HTTP 409 Conflict\n",
        ),
        call(
            "/users",
            "list_users",
            {"tags": [tag, "kernel"], "role": "user"},
            Sent("GET", "/users", f"role=user&tag=tag%20{mark}&tag=kernel&limit=20"),
            text(json_of({"total": 1, "users": [{"name": "linus", "email": email}]})),
            {"total": 1, "users": [{"name": "linus", "email": email}]},
        ),
        call(
            "/users",
            "register_guest",
            {"name": f'Ann "{mark}"'},
            Sent("POST", "/users", body=guest),
            text(json_of(guest)),
            guest,
        ),
        call(
            "/users",
            "change_preferences",
            {"email": email, **preferences},
            Sent("PUT", f"/users/{email}/preferences", body=preferences),
            text(json_of(preferences)),
            {**preferences, "theme": "system"},
        ),
        call(
            "/users",
            "upload_avatar",
            {"email": email, "avatar": base64.b64encode(picture).decode(), "caption": "me & you"},
            Sent(
                "POST",
                f"/users/{email}/avatar",
                headers={"content-type": re.compile("^multipart/form-data; boundary=")},
                body=_is_upload(f"{email}.png", picture, "me & you"),
            ),
            text(json_of({"size": len(picture), "filename": f"{email}.png", "caption": "me & you"})),
            {"size": len(picture), "contentType": "image/png"},
        ),
        call(
            "/users",
            "get_avatar",
            {"email": email},
            Sent("GET", f"/users/{email}/avatar.png"),
            [{"type": "image", "mimeType": "image/png", "data": base64.b64encode(picture).decode()}],
        ),
        call(
            "/users",
            "get_greeting",
            {"email": ADA},
            Sent("GET", f"/users/{ADA}/greeting.wav"),
            [{"type": "audio", "mimeType": "audio/wav", "data": base64.b64encode(greeting("ada")).decode()}],
        ),
        call("/users", "get_report", {}, Sent("GET", "/report.pdf"), [_report()]),
        call(
            "/users",
            "show_avatar",
            {"email": ADA},
            Sent("GET", f"/users/{ADA}/avatar.png"),
            [
                {"type": "text", "text": f"This is {ADA}.", "annotations": {"audience": ["user"]}},
                {"type": "image", "mimeType": "image/png", "data": PNG},
            ],
        ),
        call(
            "/users",
            "introduce_user",
            {"email": ADA},
            by_mail,
            [
                {"type": "text", "text": "ada joined as admin."},
                {
                    "type": "resource",
                    "resource": {
                        "uri": f"users://user/{ADA}",
                        "mimeType": "application/json",
                        "text": json_of({"theme": "dark"}),
                    },
                },
                {"type": "resource_link", "uri": f"users://user/{ADA}/avatar.png", "name": "ada.png"},
            ],
        ),
        call(
            "/users",
            "describe_user",
            {"email": ADA},
            by_mail,
            text(re.compile(r"\AAda <ada@example.com>\nmay change everything\n- mathematics\n- engines\n")),
        ),
        call(
            "/users",
            "get_secret",
            {},
            Sent("GET", "/protected", headers={"authorization": "Bearer demo-token"}),
            text('{"secret":"the cake is real"}'),
            {"secret": "the cake is real"},
        ),
        # Clients in JavaScript round the numbers of structured content; the text keeps every digit.
        call(
            "/users",
            "get_numbers",
            {},
            Sent("GET", "/numbers"),
            text(re.compile(r'"twentyDigits": 12345678901234567890, "negative": -9007199254740993')),
            {"small": 42, "asText": "12345678901234567890"},
        ),
        call("/users", "wait", {"seconds": 0.2}, Sent("GET", "/slow", "seconds=0.2"), text('{"seconds":0.2}'), {}),
        refused(
            "/users", "fail", {"status": 503}, Sent("GET", "/fail/503"), "^HTTP 503 Service Unavailable\n.*as asked"
        ),
        refused("/users", "fail", {"status": 200}, None, "^Invalid arguments .*status"),
        call("/users", "delete_user", {"id": doomed}, Sent("DELETE", f"/users/{doomed}"), text("HTTP 204 No Content")),
    ]


def _is_upload(filename: str, content: bytes, caption: str) -> Callable[[Mapping[str, Any]], bool]:
    def same(line: Mapping[str, Any]) -> bool:
        body = base64.b64decode(line.get("bodyBase64", ""))
        head = f'name="avatar"; filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'
        field = f'name="caption"\r\n\r\n{caption}\r\n'
        return head.encode() + content + b"\r\n" in body and field.encode() in body

    return same


def _report() -> dict[str, Any]:
    blob = base64.b64encode(page("Two users, no complaints.")).decode()
    return {"type": "resource", "resource": {"mimeType": "application/pdf", "blob": blob}}


def _prompts() -> list[Case]:
    def prompt(name: str, arguments: dict[str, str], messages: list[Any]) -> Case:
        operation = {"op": "getPrompt", "name": name, "arguments": arguments}
        return Case("/users", operation, None, {"messages": messages})

    def message(said: str, role: str = "user") -> dict[str, Any]:
        return {"role": role, "content": {"type": "text", "text": said}}

    guide = {"uri": "users://guide", "mimeType": "text/markdown", "text": "Look both up by e-mail."}
    return [
        prompt("welcome", {"name": "Ada"}, [message("Write a friendly letter that welcomes Ada.")]),
        prompt("welcome", {"name": "Ada", "tone": "formal"}, [message("Write a formal letter that welcomes Ada.")]),
        prompt(
            "compare",
            {"first": "Ada", "second": "Grace"},
            [
                message("What do Ada and Grace have in common?"),
                {"role": "user", "content": {"type": "resource", "resource": guide}},
                message("I look both of them up first.", "assistant"),
            ],
        ),
    ]


def _resources() -> list[Case]:
    def read(uri: str, content: Any, sent: Sent | None = None) -> Case:
        return Case("/users", {"op": "readResource", "uri": uri}, sent, {"contents": [{"uri": uri, **content}]})

    ada = {"id": "1", "name": "ada"}
    return [
        read("users://guide", {"mimeType": "text/markdown", "text": re.compile("^# Guide\n")}),
        read("users://logo", {"mimeType": "image/png", "blob": re.compile("^iVBOR")}),
        read(
            "users://all",
            {"mimeType": "application/json", "text": json_of({"users": lambda users: users[0]["name"] == "ada"})},
            Sent("GET", "/users", "limit=20"),
        ),
        read(
            f"users://user/{ADA}",
            {"mimeType": "application/json", "text": json_of(ada)},
            Sent("GET", f"/users/email/{ADA}", headers={"x-trace": TRACE}),
        ),
        read(
            "users://role/admin",
            {"mimeType": "application/json", "text": json_of({"total": 1, "users": [ada]})},
            Sent("GET", "/users", "role=admin&limit=20"),
        ),
        read(
            f"users://user/{ADA}/avatar.png",
            {"mimeType": "image/png", "blob": PNG},
            Sent("GET", f"/users/{ADA}/avatar.png"),
        ),
        Case(
            "/users", {"op": "readResource", "uri": "users://nothing"}, None, error={"message": re.compile("not found")}
        ),
    ]


def completions() -> list[Case]:
    """Not every client can ask for these."""

    def complete(ref: dict[str, str], argument: str, typed: str, values: list[str]) -> Case:
        operation = {"op": "complete", "ref": ref, "argument": {"name": argument, "value": typed}}
        return Case("/users", operation, None, {"completion": {"values": values}})

    tone = {"type": "ref/prompt", "name": "welcome"}
    return [
        complete(tone, "tone", "f", ["formal", "friendly", "funny"]),
        complete(tone, "tone", "fr", ["friendly"]),
        complete({"type": "ref/resource", "uri": "users://role/{role}"}, "role", "", ["admin", "user"]),
    ]


def _echo() -> list[Case]:
    echoed = {"region": "us", "retries": "3", "trace": TRACE, "team": "nobody", "agent": "portico-example"}
    note = '<note urgent="yes">\n  <to>A &amp; B</to>\n  <to>C</to>\n  <text>1 &lt; 2 &quot;so&quot;</text>\n</note>\n'
    return [
        call(
            "/echo",
            "read_file",
            {"folder": "a/b ü"},
            Sent("GET", "/echo/a%2Fb%20%C3%BC/v3/index.html"),
            text("/echo/a%2Fb%20%C3%BC/v3/index.html"),
        ),
        refused("/echo", "read_file", {"folder": ".."}, None, "would leave its place in the path"),
        call(
            "/echo",
            "search",
            {"words": ["a&b", "c=d"], "fields": ["x", "y"], "page": {"size": 5, "number": 2}, "strict": None},
            Sent(
                "GET",
                "/echo",
                "source=mcp&count=2&first=a%26b&q=a%26b&q=c%3Dd&fields=x,y&page%5Bsize%5D=5&page%5Bnumber%5D=2",
            ),
            text(re.compile("^source=mcp&count=2&first=a%26b&q=a%26b&")),
        ),
        call(
            "/echo",
            "send_headers",
            {"region": "us", "retries": 3},
            Sent(
                "GET",
                "/echo",
                headers={"x-region": "us", "x-retries": "3", "x-trace": TRACE, "x-team": "nobody", "cookie": None},
            ),
            text(json_of(echoed)),
            echoed,
        ),
        call(
            "/echo",
            "who_am_i",
            {},
            Sent("GET", "/session", headers={"cookie": "client=portico; session=demo-session"}),
            text(json_of({"username": "ada"})),
            {"username": "ada"},
        ),
        refused(
            "/echo",
            "who_am_i",
            {"session": "a;b c"},
            Sent("GET", "/session", headers={"cookie": "client=portico; session=a%3Bb%20c"}),
            "^HTTP 401 Unauthorized\n",
        ),
        call(
            "/echo",
            "log_in",
            {"username": "ada", "password": "demo-password"},
            Sent(
                "POST",
                "/login",
                headers={"content-type": "application/x-www-form-urlencoded"},
                body="remember=true&username=ada&password=demo-password",
            ),
            text("ada is logged in."),
        ),
        call(
            "/echo",
            "send_note",
            {"to": ["A & B", "C"], "text": '1 < 2 "so"', "urgent": True},
            Sent("POST", "/echo/notes", headers={"content-type": "application/xml"}, body=note),
            text(note),
        ),
        call(
            "/echo",
            "store_point",
            {"id": "home", "x": 13.4, "y": 52},
            Sent("PUT", "/echo/points/home", body={"x": 13.4, "y": 52, "label": None}),
            text(json_of({"x": 13.4, "y": 52, "label": None})),
        ),
        call("/echo", "get_text", {}, Sent("GET", "/text"), text("Grüße aus dem Portikus. ✓\n")),
    ]
