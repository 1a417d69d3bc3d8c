"""What a reload makes is freed without the garbage collector, which is kept from it, and only what changed is made."""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.fakes.garbage import garbage_kept

from portico.config.document import Document
from portico.gateway.runtime.compile import Compiled, compiler
from portico.gateway.runtime.prepare import TURN, Preparing, giving_way
from portico.store.store import StoredText

ROOT = Path(__file__).parents[3]
PLACES = [*(ROOT / "examples").glob("*.yaml"), *(ROOT / "bench" / "documents").glob("*.yaml")]
SECRETS = {"default": {"token": "t", "demo_key": "k", "password": "p"}}
EVERYTHING = b"""
version: 1
name: everything
values: {base: "http://127.0.0.1:1", unit: EUR}
routers:
  - {prefix: /all, server: all, cors: {allowOrigins: ["https://a.example"]}, limits: {rate: 5/s}}
  - {prefix: /relayed, server: relayed}
  - {prefix: /both, server: both}
servers:
  - name: all
  - {name: both, include: [{mcpServer: relayed, prefix: r_, tools: ["*"]}]}
mcpServers: {relayed: {command: cat, env: {A: "{{ secrets.token }}"}}}
tools:
  - name: shaped
    args:
      - {name: id, in: path, type: string, required: true}
      - {name: tags, in: query, type: array, items: {type: string}}
      - {name: note, in: body, type: string}
    request:
      method: POST
      url: "{{ values.base }}/things/{id}"
      headers: {Authorization: "Bearer {{ secrets.token }}"}
    response:
      body: {id: "{{ response.json.id | default('x') }}", unit: "{{ values.unit }}"}
      outputSchema: {type: object, properties: {id: {type: string}}}
  - {name: told, request: {url: "{{ values.base }}/told"}, response: {body: "It is {{ response.json.a.b.c }}."}}
  - {name: chosen, request: {url: "http://127.0.0.1:1/chosen?x=1"}, response: {select: "items[0].name"}}
  - name: blocks
    request: {url: "{{ values.base }}/blocks"}
    response: {content: [{type: text, text: "{{ response.text }}"}]}
prompts:
  - name: ask
    arguments: [{name: who, required: true}]
    messages: [{role: user, content: {type: text, text: "Ask {{ args.who }}"}}]
resources:
  - {name: fixed, uri: "x://fixed", text: Hello}
  - {name: found, uriTemplate: "x://things/{id}", tool: shaped}
"""


def prepared(text: bytes, source: str) -> None:
    made = Preparing(compiler(object())).prepare([StoredText(source, text)], SECRETS, {})
    assert made[source].compiled is not None, [str(problem) for problem in made[source].problems]


@pytest.mark.parametrize("path", [*PLACES, None], ids=lambda path: path.stem if path is not None else "everything")
def test_a_document_leaves_nothing_to_the_garbage_collector(path: Path | None) -> None:
    text, source = (EVERYTHING, "everything.yaml") if path is None else (path.read_bytes(), path.name)
    # What is made once, such as caches of patterns, is made here.
    prepared(text, source)
    with garbage_kept() as garbage:
        prepared(text, source)
    assert Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in garbage) == {}


def test_what_has_not_changed_is_taken_as_it_was_and_the_rest_is_kept_from_the_collector() -> None:
    made, kept = [], []

    def build(document: Document, secrets: Mapping[str, str]) -> Compiled:
        made.append(document.name)
        return Compiled(document.name, document.tenant, {})

    preparing = Preparing(build, lambda: kept.append(len(made)))
    texts = [StoredText(f"{name}.yaml", f"version: 1\nname: {name}\n".encode()) for name in ("a", "b")]
    first = preparing.prepare(texts, {}, {})
    assert (made, kept) == (["a", "b"], [1, 2])
    texts[1] = StoredText("b.yaml", b"version: 1\nname: b\ndescription: Another.\n")
    second = preparing.prepare(texts, {}, first)
    assert second["a.yaml"] is first["a.yaml"]
    assert (made, kept) == (["a", "b", "b"], [1, 2, 3])
    # Another secret of the tenant changes every document of it.
    preparing.prepare(texts, {"default": {"token": "new"}}, second)
    assert made[3:] == ["a", "b"]


def test_a_thread_that_compiles_gives_way_often() -> None:
    usual = sys.getswitchinterval()
    with giving_way():
        assert sys.getswitchinterval() == pytest.approx(TURN)
    assert sys.getswitchinterval() == usual
