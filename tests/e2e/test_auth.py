"""Real clients with a key in a header, at a gateway of two workers: they list and call what the key allows."""

from collections.abc import Iterator

import pytest
from tests.clients.driver import DriverFailed, run_driver
from tests.e2e.running import copy_examples, gateway, said_url, start, stop

from portico.config.key import key_hash, new_key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

KEY, OTHER = new_key(), new_key()
ROUTERS = f"""
routers:
  - prefix: /keyed
    server: users
    auth:
      mode: apiKey
      keys: [{{name: reader, hash: {key_hash(KEY)}, tools: ["get_*"]}}]
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway on the users example, whose endpoint asks for a key."""
    directory = tmp_path_factory.mktemp("guarded")
    demo = start(["demo", "--port", "0"], directory / "demo.txt")
    try:
        documents = copy_examples(directory, said_url(directory / "demo.txt", r"running on (http://\S+)", demo))
        users = documents / "users.yaml"
        before, _, rest = users.read_text().partition("\nrouters:")
        _, _, after = rest.partition("\nservers:")
        users.write_text(f"{before}{ROUTERS}\nservers:{after}")
        with gateway(documents, directory / "gateway.txt", "--workers", "2") as (url, _):
            yield url
    finally:
        stop(demo)


@pytest.mark.parametrize(
    ("kind", "mode", "transport"),
    [("python", "auto", "http"), ("python", "legacy", "sse"), ("typescript-v2", "legacy", "http")],
)
def test_a_client_with_a_key_uses_what_it_allows(guarded: str, kind: str, mode: str, transport: str) -> None:
    url = f"{guarded}/keyed/{'mcp' if transport == 'http' else 'sse'}"
    operations = [
        {"op": "listTools"},
        {"op": "callTool", "name": "get_user_by_email", "arguments": {"email": "ada@example.com"}},
        {"op": "callTool", "name": "register_user", "arguments": {"username": "x", "email": "x@example.com"}},
    ]
    headers = {"Authorization": f"Bearer {KEY}"}
    listed, called, refused = run_driver(kind, url, operations, mode=mode, transport=transport, headers=headers)
    names = [tool["name"] for tool in listed["result"]["tools"]]
    assert names
    assert all(name.startswith("get_") for name in names)
    assert not called["result"].get("isError")
    assert "Unknown tool" in str(refused["error"])


def test_a_client_with_another_key_is_not_let_in(guarded: str) -> None:
    with pytest.raises(DriverFailed):
        run_driver("python", f"{guarded}/keyed/mcp", [], headers={"Authorization": f"Bearer {OTHER}"})
