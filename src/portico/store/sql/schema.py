"""The tables as this program uses them. What creates and changes them is db/migrations. Their names begin with ours,
because a database may be shared with other programs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, String, Table, Text

from portico.db.dialect import binary, name, number

metadata = MetaData()

meta = Table(
    "portico_meta",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("schema", Integer, nullable=False, quote=True),
    Column("least", Integer, nullable=False),
)

documents = Table(
    "portico_documents",
    metadata,
    Column("id", number(), primary_key=True),
    Column("tenant", name(), nullable=False),
    Column("name", name(), nullable=False),
    Column("version", Integer, nullable=False),
    # Of a document that was deleted the row stays, without a text: its versions go on counting where they were.
    Column("text", binary()),
    Column("author", String(255), nullable=False),
    Column("at", BigInteger, nullable=False),
)

versions = Table(
    "portico_versions",
    metadata,
    Column("document", BigInteger, ForeignKey("portico_documents.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("text", binary()),
    Column("digest", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("author", String(255), nullable=False),
    Column("action", String(32), nullable=False),
    Column("note", String(1000), nullable=False),
    Column("at", BigInteger, nullable=False),
)

audit = Table(
    "portico_audit",
    metadata,
    Column("id", number(), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("tenant", name(), nullable=False),
    Column("author", String(255), nullable=False),
    Column("action", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", name(255), nullable=False),
    Column("version", Integer),
    Column("note", String(1000), nullable=False),
)

tenants = Table(
    "portico_tenants",
    metadata,
    Column("name", name(), primary_key=True),
    Column("prefix", name(512), nullable=False),
    Column("created", BigInteger, nullable=False),
)

secrets = Table(
    "portico_secrets",
    metadata,
    Column("tenant", name(), primary_key=True),
    Column("name", name(255), primary_key=True),
    Column("sealed", binary(), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("updated", BigInteger, nullable=False),
)

api_keys = Table(
    "portico_api_keys",
    metadata,
    Column("tenant", name(), primary_key=True),
    Column("name", name(255), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("last_four", String(4), nullable=False),
    Column("endpoints", Text, nullable=False),
    Column("tools", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("last_used", BigInteger),
)

replicas = Table(
    "portico_replicas",
    metadata,
    Column("id", name(255), primary_key=True),
    Column("report", binary(), nullable=False),
    Column("reported_at", BigInteger, nullable=False),
)
