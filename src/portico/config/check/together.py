"""What only shows across documents. The document that comes first by source name keeps the name or the prefix."""

from __future__ import annotations

from collections.abc import Sequence

from portico.config.check.findings import Findings
from portico.config.document import Document
from portico.config.positions import Positions
from portico.config.prefix import canonical_prefix
from portico.config.problem import Problem, quoted


def collisions(documents: Sequence[tuple[str, Document, Positions]]) -> dict[str, list[Problem]]:
    """By source. A document that loses takes nothing, so it cannot push out a third one."""
    names: dict[tuple[str, str], str] = {}
    prefixes: dict[str, str] = {}
    found: dict[str, list[Problem]] = {}
    for source, document, positions in sorted(documents, key=lambda each: each[0]):
        findings = Findings(source, positions)
        _name(document, names, findings)
        _prefixes(document, prefixes, findings)
        if findings.errors:
            found[source] = list(findings.problems)
            continue
        names[document.tenant, document.name] = source
        prefixes.update((canonical_prefix(router.prefix), source) for router in document.routers)
    return found


def _name(document: Document, names: dict[tuple[str, str], str], findings: Findings) -> None:
    first = names.get((document.tenant, document.name))
    if first is not None:
        findings.error(
            ("name",),
            "duplicate-document",
            f"the name {quoted(document.name)} of tenant {quoted(document.tenant)} is taken by {first}",
            "Rename this document, or remove one of the two",
        )


def _prefixes(document: Document, prefixes: dict[str, str], findings: Findings) -> None:
    for index, router in enumerate(document.routers):
        first = prefixes.get(canonical_prefix(router.prefix))
        if first is not None:
            findings.error(
                ("routers", index, "prefix"),
                "duplicate-prefix",
                f"the prefix {quoted(router.prefix)} is taken by {first}",
                "Choose another prefix; they are unique over all documents and tenants",
            )
