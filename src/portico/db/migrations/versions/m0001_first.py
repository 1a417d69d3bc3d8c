"""The first schema: documents with their versions and audit, tenants, secrets, API keys, replica reports."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Text, UniqueConstraint, inspect, text

from portico.db.dialect import MYSQL, binary, name, number

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


NAMES = ("replicas", "api_keys", "secrets", "tenants", "audit", "versions", "documents", "meta")
TABLES = tuple(f"portico_{noun}" for noun in NAMES)


def upgrade() -> None:
    if not _begun_anew():
        return
    _documents()
    _audit()
    op.create_table(
        "portico_tenants",
        Column("name", name(), primary_key=True),
        Column("prefix", name(512), nullable=False, server_default=""),
        Column("created", BigInteger, nullable=False),
        **MYSQL,
    )
    op.create_table(
        "portico_secrets",
        Column("tenant", name(), primary_key=True),
        Column("name", name(255), primary_key=True),
        Column("sealed", binary(), nullable=False),
        Column("key_id", String(64), nullable=False),
        Column("updated", BigInteger, nullable=False),
        **MYSQL,
    )
    _keys()
    op.create_table(
        "portico_replicas",
        Column("id", name(255), primary_key=True),
        Column("report", binary(), nullable=False),
        Column("reported_at", BigInteger, nullable=False),
        **MYSQL,
    )
    meta = op.create_table(
        "portico_meta",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("revision", BigInteger, nullable=False),
        Column("schema", Integer, nullable=False, quote=True),
        Column("least", Integer, nullable=False),
        **MYSQL,
    )
    op.bulk_insert(meta, [{"id": 1, "revision": 1, "schema": 1, "least": 1}])


def _begun_anew() -> bool:
    """MySQL commits each table by itself, so this migration may have been cut off. Without the row of `meta`, which
    comes last, no program has ever written to what was left behind, and it goes."""
    there = inspect(op.get_bind()).get_table_names()
    if "portico_meta" in there and op.get_bind().scalar(text("SELECT count(*) FROM portico_meta")):
        return False
    for table in TABLES:
        if table in there:
            op.drop_table(table)
    return True


def _documents() -> None:
    op.create_table(
        "portico_documents",
        Column("id", number(), primary_key=True, autoincrement=True),
        Column("tenant", name(), nullable=False),
        Column("name", name(), nullable=False),
        Column("version", Integer, nullable=False),
        Column("text", binary()),
        Column("author", String(255), nullable=False),
        Column("at", BigInteger, nullable=False),
        UniqueConstraint("tenant", "name", name="portico_documents_tenant_name"),
        **MYSQL,
    )
    op.create_table(
        "portico_versions",
        Column("document", BigInteger, ForeignKey("portico_documents.id", ondelete="CASCADE"), primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("text", binary()),
        Column("digest", String(64), nullable=False),
        Column("size", Integer, nullable=False),
        Column("author", String(255), nullable=False),
        Column("action", String(32), nullable=False),
        Column("note", String(1000), nullable=False),
        Column("at", BigInteger, nullable=False),
        **MYSQL,
    )


def _audit() -> None:
    op.create_table(
        "portico_audit",
        Column("id", number(), primary_key=True, autoincrement=True),
        Column("at", BigInteger, nullable=False),
        Column("tenant", name(), nullable=False, index=True),
        Column("author", String(255), nullable=False),
        Column("action", String(32), nullable=False),
        Column("kind", String(32), nullable=False),
        Column("name", name(255), nullable=False),
        Column("version", Integer),
        Column("note", String(1000), nullable=False),
        **MYSQL,
    )


def _keys() -> None:
    op.create_table(
        "portico_api_keys",
        Column("tenant", name(), primary_key=True),
        Column("name", name(255), primary_key=True),
        Column("hash", String(64), nullable=False, unique=True),
        Column("last_four", String(4), nullable=False),
        Column("endpoints", Text, nullable=False),
        Column("tools", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("expires", BigInteger),
        Column("revoked", BigInteger),
        Column("last_used", BigInteger),
        **MYSQL,
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
