"""Everything that five servers of the registries offer, used once, each call with what makes its answer the same every
time; and how the answers are made comparable.
"""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Operation = dict[str, Any]
STATIC = ("architecture", "extension", "features", "how-it-works", "instructions", "startup", "structure")
_TIMES = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?|\d{1,2}:\d\d:\d\d [AP]M"
    r"|\w{3} \w{3} \d\d \d{4} [\d:]{8} GMT\+\d{4} \([^)]*\)|\w{3} \w{3} +\d+ [\d:]{8} \d{4} [+-]\d{4}"
)
_HASHES = re.compile(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{7}\b")


@dataclass(frozen=True)
class Servers:
    """`folder` is where the servers keep what they change."""

    folder: Path

    def begin(self) -> None:
        """All state as it is at first: servers read it from disk at every call."""
        files, repository = self.folder / "files", self.folder / "repository"
        for place in (files, repository):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
        (files / "greeting.txt").write_text("Grüße, 世界\n")
        entity = {"type": "entity", "name": "Portico", "entityType": "gateway", "observations": ["It relays."]}
        (self.folder / "memory.jsonl").write_text(json.dumps(entity) + "\n")
        self._git("init", "--quiet", "--initial-branch", "main")
        for name, value in (("user.name", "A"), ("user.email", "a@example.com"), ("commit.gpgsign", "false")):
            self._git("config", name, value)
        self._git("commit", "--quiet", "--allow-empty", "-m", "The first.")
        (repository / "new.txt").write_text("new\n")

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder / "repository", check=True, timeout=30)

    def operations(self, name: str, run: str) -> list[Operation]:
        """In order, for one server; `run` makes names unique that a server keeps in its memory."""
        tools = {
            "everything": everything(run),
            "filesystem": filesystem(self.folder / "files"),
            "memory": MEMORY,
            "time": TIME,
            "git": git(self.folder / "repository"),
        }[name]
        found: list[Operation] = [{"op": "callTool", "name": tool, "arguments": given} for tool, given in tools]
        found += [{"op": "getPrompt", "name": prompt, "arguments": given} for prompt, given in PROMPTS.get(name, ())]
        return found + [{"op": "readResource", "uri": uri} for uri in RESOURCES.get(name, ())]


def everything(run: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("echo", {"message": "Grüße"}),
        ("get-annotated-message", {"messageType": "error", "includeImage": True}),
        ("get-env", {}),
        ("get-resource-links", {"count": 3}),
        ("get-resource-reference", {"resourceType": "Text", "resourceId": 1}),
        ("get-structured-content", {"location": "Chicago"}),
        ("get-sum", {"a": 2, "b": 3}),
        ("get-tiny-image", {}),
        ("gzip-file-as-resource", {"name": f"{run}.gz", "data": "data:text/plain,hello", "outputType": "resourceLink"}),
        ("toggle-simulated-logging", {}),
        ("toggle-simulated-logging", {}),
        ("toggle-subscriber-updates", {}),
        ("toggle-subscriber-updates", {}),
        ("trigger-long-running-operation", {"duration": 0.1, "steps": 1}),
        ("simulate-research-query", {"topic": "gateways"}),
    ]


def filesystem(files: Path) -> list[tuple[str, dict[str, Any]]]:
    greeting, note, other = (str(files / name) for name in ("greeting.txt", "note.txt", "other.txt"))
    return [
        ("read_file", {"path": greeting}),
        ("read_text_file", {"path": greeting}),
        ("read_text_file", {"path": str(files.parent / "outside.txt")}),
        ("read_media_file", {"path": greeting}),
        ("read_multiple_files", {"paths": [greeting, greeting]}),
        ("write_file", {"path": note, "content": "one\n"}),
        ("edit_file", {"path": note, "edits": [{"oldText": "one", "newText": "two"}]}),
        ("move_file", {"source": note, "destination": other}),
        ("create_directory", {"path": str(files / "folder")}),
        ("list_directory", {"path": str(files)}),
        ("list_directory_with_sizes", {"path": str(files)}),
        ("directory_tree", {"path": str(files)}),
        ("search_files", {"path": str(files), "pattern": "**/*.txt"}),
        ("get_file_info", {"path": greeting}),
        ("list_allowed_directories", {}),
    ]


MEMORY: list[tuple[str, dict[str, Any]]] = [
    ("create_entities", {"entities": [{"name": "MCP", "entityType": "protocol", "observations": ["It is spoken."]}]}),
    ("create_relations", {"relations": [{"from": "Portico", "to": "MCP", "relationType": "speaks"}]}),
    ("add_observations", {"observations": [{"entityName": "MCP", "contents": ["It has eras."]}]}),
    ("read_graph", {}),
    ("search_nodes", {"query": "eras"}),
    ("open_nodes", {"names": ["Portico"]}),
    ("delete_observations", {"deletions": [{"entityName": "MCP", "observations": ["It has eras."]}]}),
    ("delete_relations", {"relations": [{"from": "Portico", "to": "MCP", "relationType": "speaks"}]}),
    ("delete_entities", {"entityNames": ["MCP"]}),
]
TIME: list[tuple[str, dict[str, Any]]] = [
    ("get_current_time", {"timezone": "UTC"}),
    ("convert_time", {"source_timezone": "UTC", "time": "16:30", "target_timezone": "Asia/Tokyo"}),
    ("convert_time", {"source_timezone": "Nowhere", "time": "16:30", "target_timezone": "Asia/Tokyo"}),
]


def git(repository: Path) -> list[tuple[str, dict[str, Any]]]:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("git_status", {}),
        ("git_add", {"files": ["new.txt"]}),
        ("git_diff_staged", {}),
        ("git_reset", {}),
        ("git_add", {"files": ["new.txt"]}),
        ("git_commit", {"message": "The second."}),
        ("git_diff_unstaged", {}),
        ("git_log", {"max_count": 5}),
        ("git_show", {"revision": "HEAD"}),
        ("git_create_branch", {"branch_name": "side"}),
        ("git_checkout", {"branch_name": "side"}),
        ("git_diff", {"target": "main"}),
        ("git_branch", {"branch_type": "local"}),
    ]
    return [(name, {"repo_path": str(repository), **given}) for name, given in calls]


PROMPTS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "everything": [
        ("simple-prompt", {}),
        ("args-prompt", {"city": "Oslo", "state": "None"}),
        ("completable-prompt", {"department": "Engineering", "name": "Alice"}),
        ("resource-prompt", {"resourceType": "Text", "resourceId": "1"}),
    ]
}
RESOURCES = {
    "everything": [
        *(f"demo://resource/static/document/{name}.md" for name in STATIC),
        "demo://resource/dynamic/text/1",
        "demo://resource/dynamic/blob/2",
    ],
    "memory": ["memory://knowledge-graph"],
}


def public(operation: Operation, prefix: str) -> Operation:
    """The operation as a client of the combined endpoint makes it."""
    if "uri" in operation:
        return operation | {"uri": operation["uri"].replace("://", f"://{prefix}/", 1)}
    return operation | {"name": prefix + operation["name"]}


def comparable(answer: dict[str, Any], prefix: str, run: str) -> Any:
    """What was said, with the server's own URIs, and without what differs between two runs or between the eras."""
    if "error" in answer:
        return {"error": re.sub(r"^MCP error -?\d+: |^(-32602|-32002)\W*", "", answer["error"]["message"])}
    kept = ("content", "structuredContent", "messages", "contents", "description")
    shown = {key: _decoded(answer["result"][key]) for key in kept if key in answer["result"]}
    text = json.dumps({**shown, "isError": answer["result"].get("isError", False)}, sort_keys=True)
    text = text.replace(f"://{prefix}/", "://").replace(f"{run}.gz", "(run).gz")
    return json.loads(_HASHES.sub("(hash)", _TIMES.sub("(time)", text)))


def _decoded(value: Any) -> Any:
    """Texts in blobs tell the time, and the environment of a process is its parent's."""
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _decoded(each) for key, each in value.items() if key not in ("_meta", "annotations") or each}
    if isinstance(found.get("blob"), str):
        found["blob"] = base64.b64decode(found["blob"]).decode("utf-8", "replace")
    if str(found.get("text", "")).startswith("{") and '"PATH"' in found["text"]:
        found["text"] = json.loads(found["text"])["PATH"]
    return found


def named(operations: Sequence[Operation], op: str) -> set[str]:
    return {operation.get("name") or operation["uri"] for operation in operations if operation["op"] == op}
