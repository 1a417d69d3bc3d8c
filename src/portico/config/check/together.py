"""What only shows across documents. The document that comes first by source name keeps the name or the prefix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from portico.config.check.findings import Findings
from portico.config.document import Document
from portico.config.positions import Positions
from portico.config.prefix import canonical_prefix
from portico.config.problem import Problem, quoted


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What a store knows of tenants: whose each source is, and which prefix is all of a tenant's. A files store knows
    neither; there the document says whose it is."""

    owners: Mapping[str, str] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)


def collisions(
    documents: Sequence[tuple[str, Document, Positions]], tenancy: Tenancy | None = None
) -> dict[str, list[Problem]]:
    """By source. A document that loses takes nothing, so it cannot push out a third one."""
    names: dict[tuple[str, str], str] = {}
    prefixes: dict[str, str] = {}
    found: dict[str, list[Problem]] = {}
    for source, document, positions in sorted(documents, key=lambda each: each[0]):
        findings = Findings(source, positions)
        if tenancy is not None:
            _tenant(document, tenancy.owners.get(source), findings)
            _territory(document, tenancy.prefixes, findings)
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


def _tenant(document: Document, owner: str | None, findings: Findings) -> None:
    """Whoever may write for one tenant must not get at the secrets and endpoints of another by saying its name."""
    if owner is not None and document.tenant != owner:
        findings.error(
            ("tenant",),
            "foreign-tenant",
            f"the document says that it is of the tenant {quoted(document.tenant)}, and lies with {quoted(owner)}",
            f"Write tenant: {owner}, or keep it with the other tenant",
        )


def _territory(document: Document, owned: Mapping[str, str], findings: Findings) -> None:
    mine = owned.get(document.tenant, "")
    for index, router in enumerate(document.routers):
        path = ("routers", index, "prefix")
        if not _within(router.prefix, mine):
            findings.error(
                path,
                "foreign-prefix",
                f"the prefix {quoted(router.prefix)} is not below {quoted(mine)}, the prefix of the tenant",
                f"Begin it with {mine}",
            )
        for tenant, prefix in owned.items():
            if tenant != document.tenant and _within(router.prefix, prefix) and not _within(mine, prefix):
                findings.error(
                    path,
                    "foreign-prefix",
                    f"the prefix {quoted(router.prefix)} is below one that another tenant owns",
                    "Choose another prefix",
                )


def _within(prefix: str, territory: str) -> bool:
    """Whether it is the territory's own prefix or one below it; an empty territory is everywhere."""
    own = canonical_prefix(territory) if territory else ""
    return not own or canonical_prefix(prefix) == own or canonical_prefix(prefix).startswith(own + "/")
