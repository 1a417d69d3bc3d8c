"""The demo service through its front door: what a client of the API sees."""

import gzip
import hashlib
import io
import struct
import wave
import zlib
from collections.abc import Iterator

import brotli
import pytest
import zstandard
from starlette.testclient import TestClient

from portico.demo.app import create_app
from portico.demo.media import portrait


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(None), follow_redirects=False) as client:
        yield client


LINUS = {"username": "linus", "email": "linus@example.com", "tags": ["kernel", "git"]}


def test_a_registered_user_can_be_found_by_number_and_by_email(client: TestClient) -> None:
    answer = client.post("/users", json=LINUS)
    assert answer.status_code == 201
    user = answer.json()
    assert user["role"] == "user"
    assert user["tags"] == ["kernel", "git"]
    assert client.get(f"/users/{user['id']}").json() == user
    assert client.get("/users/email/LINUS@example.com").json() == user


def test_a_second_user_with_the_same_email_is_refused(client: TestClient) -> None:
    answer = client.post("/users", json=LINUS | {"email": "Ada@example.com"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "e-mail" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"username": ""}, "body.username"),
        ({"email": "nobody"}, "body.email"),
        ({"role": "king"}, "body.role"),
        ({"tags": "kernel"}, "body.tags"),
        ({"preferences": {"theme": "pink"}}, "body.preferences.theme"),
        ({"shoe": 43}, "body.shoe"),
    ],
)
def test_bad_input_is_named_in_a_problem(client: TestClient, change: dict[str, object], where: str) -> None:
    answer = client.post("/users", json=LINUS | change)
    assert answer.status_code == 422
    assert [fault["where"] for fault in answer.json()["errors"]] == [where]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["ada", "grace", "linus"]),
        ("role=admin", ["ada"]),
        ("tag=kernel&tag=git", ["linus"]),
        ("tag=kernel&tag=navy", []),
        ("limit=1&offset=1", ["grace"]),
    ],
)
def test_users_are_listed_by_role_tags_and_page(client: TestClient, query: str, names: list[str]) -> None:
    client.post("/users", json=LINUS)
    assert [user["username"] for user in client.get(f"/users?{query}").json()["users"]] == names


def test_a_deleted_user_is_gone(client: TestClient) -> None:
    answer = client.delete("/users/2")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get("/users/2").status_code == 404
    assert client.delete("/users/2").json()["title"] == "Not Found"


def test_preferences_are_replaced_as_a_whole(client: TestClient) -> None:
    wanted = {
        "language": "en-GB",
        "theme": "light",
        "notifications": {"email": False, "push": True, "quietHours": {"from": "22:00", "to": "07:30"}},
        "favourites": [{"kind": "book", "id": 12345678901234567890}, {"kind": "song", "id": 2}],
    }
    answer = client.put("/users/grace@example.com/preferences", json=wanted)
    assert answer.json()["preferences"] == wanted
    answer = client.put("/users/grace@example.com/preferences", json={"theme": "dark"})
    assert answer.json()["preferences"]["favourites"] == []
    assert client.put("/users/nobody@example.com/preferences", json={}).status_code == 404


def test_an_uploaded_picture_is_measured_and_kept(client: TestClient) -> None:
    picture = portrait("somebody else")
    answer = client.post(
        "/users/ada@example.com/avatar",
        files={"avatar": ("new.png", picture, "image/png")},
        data={"caption": "Grüße"},
    )
    assert answer.json() == {
        "sha256": hashlib.sha256(picture).hexdigest(),
        "size": len(picture),
        "contentType": "image/png",
        "filename": "new.png",
        "caption": "Grüße",
    }
    assert client.get("/users/ada@example.com/avatar.png").content == picture


def test_an_upload_that_is_no_png_does_not_become_the_picture(client: TestClient) -> None:
    before = client.get("/users/ada@example.com/avatar.png").content
    files = {"avatar": ("page.html", b"<script>", "text/html")}
    assert client.post("/users/ada@example.com/avatar", files=files).json()["contentType"] == "text/html"
    assert client.get("/users/ada@example.com/avatar.png").content == before


def test_the_picture_of_a_seeded_user_is_a_valid_png(client: TestClient) -> None:
    answer = client.get("/users/ada@example.com/avatar.png")
    assert answer.headers["content-type"] == "image/png"
    rest, kinds, pixels = answer.content[8:], [], b""
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        kind, data = rest[4:8], rest[8 : 8 + length]
        assert struct.unpack(">I", rest[8 + length : 12 + length]) == (zlib.crc32(kind + data),)
        kinds.append(kind)
        pixels += data if kind == b"IDAT" else b""
        rest = rest[12 + length :]
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(pixels)) == 16 * (1 + 16 * 3)


def test_a_new_user_has_no_picture_yet(client: TestClient) -> None:
    client.post("/users", json=LINUS)
    assert client.get("/users/linus@example.com/avatar.png").status_code == 404


def test_the_greeting_is_a_valid_wav(client: TestClient) -> None:
    answer = client.get("/users/ada@example.com/greeting.wav")
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8000, 2000)


def test_logging_in_sets_a_cookie_that_the_session_reads(client: TestClient) -> None:
    answer = client.post("/login", data={"username": "ada", "password": "demo-password"})
    assert answer.status_code == 200
    assert answer.cookies["session"] == answer.json()["session"]
    session = client.get("/session", headers={"X-Trace": "trace-1"})
    assert session.json() == {"username": "ada", "trace": "trace-1"}


@pytest.mark.parametrize(
    "form", [{"username": "ada", "password": "x"}, {"username": "eve", "password": "demo-password"}]
)
def test_a_wrong_login_is_refused(client: TestClient, form: dict[str, str]) -> None:
    assert client.post("/login", data=form).status_code == 401
    assert client.get("/session").status_code == 401


def test_the_known_session_needs_no_login(client: TestClient) -> None:
    answer = client.get("/session", headers={"Cookie": "session=demo-session"})
    assert answer.json() == {"username": "ada", "trace": None}


def test_the_protected_route_needs_its_token(client: TestClient) -> None:
    refused = client.get("/protected")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert client.get("/protected", headers={"Authorization": "Bearer demo-token"}).status_code == 200


@pytest.mark.parametrize("status", [400, 404, 418, 429, 500, 503])
def test_failing_answers_the_status_asked_for(client: TestClient, status: int) -> None:
    answer = client.get(f"/fail/{status}")
    assert (answer.status_code, answer.json()["status"]) == (status, status)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_echo_answers_with_the_request(client: TestClient, method: str) -> None:
    echo = client.request(method, "/echo/a%2Fb%20c?tag=1&tag=2&empty=", content="Grüße", headers={"X-One": "1"}).json()
    assert echo["method"] == method
    assert (echo["path"], echo["query"]) == ("/echo/a/b c", [["tag", "1"], ["tag", "2"], ["empty", ""]])
    assert echo["headers"]["x-one"] == "1"
    assert echo["body"] == "Grüße"


def test_echo_answers_a_binary_body_in_base64(client: TestClient) -> None:
    assert client.post("/echo", content=b"\xff\x00").json()["bodyBase64"] == "/wA="


@pytest.mark.parametrize(
    ("encoding", "unpack"),
    [
        ("gzip", gzip.decompress),
        ("br", brotli.decompress),
        ("zstd", zstandard.ZstdDecompressor().decompress),
        ("deflate", zlib.decompress),
    ],
)
def test_a_compressed_answer_is_in_the_coding_it_names(client: TestClient, encoding: str, unpack) -> None:
    with client.stream("GET", f"/compressed/{encoding}") as answer:
        packed = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == encoding
    assert f'"encoding":"{encoding}"'.encode() in unpack(packed)


def test_numbers_arrive_as_they_were_written(client: TestClient) -> None:
    text = client.get("/numbers").text
    assert '"twentyDigits": 12345678901234567890' in text
    assert '"trailingZero": 1.0' in text


def test_large_answers_have_the_length_asked_for(client: TestClient) -> None:
    assert len(client.get("/large?bytes=200001").content) == 200001
    assert client.get("/large?bytes=100000000000").status_code == 422


@pytest.mark.parametrize(
    ("path", "media_type", "start"),
    [
        ("/text", "text/plain; charset=utf-8", "Grüße".encode()),
        ("/report.pdf", "application/pdf", b"%PDF-"),
        ("/blob", "application/octet-stream", bytes(range(256))),
        ("/healthz", "application/json", b'{"status":"ok"}'),
    ],
)
def test_other_content_says_what_it_is(client: TestClient, path: str, media_type: str, start: bytes) -> None:
    answer = client.get(path)
    assert answer.headers["content-type"] == media_type
    assert answer.content.startswith(start)


def test_every_offset_in_the_pdf_points_to_its_object(client: TestClient) -> None:
    document = client.get("/report.pdf").content
    table = document[int(document.split(b"startxref\n")[1].split()[0]) :]
    assert table.startswith(b"xref\n0 5\n")
    for number, entry in enumerate(table.splitlines()[3:7], 1):
        assert document[int(entry[:10]) :].startswith(b"%d 0 obj" % number)


def test_a_redirect_points_to_the_text(client: TestClient) -> None:
    answer = client.get("/redirect")
    assert (answer.status_code, answer.headers["location"]) == (302, "/text")


def test_an_unknown_path_is_a_problem_too(client: TestClient) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_the_openapi_document_describes_every_operation(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["summary"], operation["operationId"]
        assert operation["description"], operation["operationId"]
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (operation["operationId"], parameter["name"])
        problem = operation["responses"]["422"]["content"]
        assert list(problem) == ["application/problem+json"]
    for name, schema in document["components"]["schemas"].items():
        for field, shape in schema.get("properties", {}).items():
            assert "description" in shape or field in ("avatar", "caption"), (name, field)
