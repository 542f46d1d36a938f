"""Whoever starts a server is known by the project, too: people of two machines may share a name."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Those who are there already get theirs at the next start."""
    op.add_column("users", sa.Column("starter", sa.Text()))
    op.create_index("users_by_starter", "users", ["starter"], unique=True)
