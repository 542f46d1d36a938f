"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """Makes every table, and the guards of those that only grow."""
    op.create_table(
        "users",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("token_sha256", sa.String(64), unique=True),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.create_table(
        "images",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("position", sa.Integer(), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
    )
    op.create_index("images_by_state", "images", ["state", "position"])
    op.create_table(
        "locations",
        sa.Column("path", sa.Text(), primary_key=True),
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.id"), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_locations_image_id", "locations", ["image_id"])
    op.create_table(
        "instances",
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("editor", sa.String(200), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    op.create_table(
        "operations",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("op", sa.String(64), nullable=False, unique=True),
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.id"), nullable=False),
        sa.Column("instance_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("value", sa.JSON(none_as_null=True)),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("current", sa.JSON(none_as_null=True)),
        sa.Column("editor", sa.String(200), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("operations_by_image", "operations", ["image_id", "status", "number"])
    op.create_table(
        "transitions",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.id"), nullable=False),
        sa.Column("before", sa.String(20), nullable=False),
        sa.Column("after", sa.String(20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("editor", sa.String(200), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_transitions_image_id", "transitions", ["image_id"])
    op.create_table(
        "leases",
        sa.Column("image_id", sa.String(64), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("user_id", sa.String(64), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("project", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True)),
        sa.Column("error", sa.Text()),
        sa.Column("editor", sa.String(200), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )
    _guard(("operations", "transitions"))


def _guard(tables: tuple[str, ...]) -> None:
    """Lets the database itself refuse to change or remove a row of a log."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(
            "CREATE FUNCTION samkit_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'this table only grows'; END $$"
        )
    for table in tables:
        for change in ("UPDATE", "DELETE"):
            body = (
                "FOR EACH ROW EXECUTE FUNCTION samkit_only_grows()"
                if postgresql
                else "BEGIN SELECT RAISE(ABORT, 'this table only grows'); END"
            )
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} {body}"
            )
