"""Changes of an image's state have ids and versions, as those of its masks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was logged before has neither."""
    op.add_column("transitions", sa.Column("op", sa.String(64)))
    op.add_column("transitions", sa.Column("version", sa.Integer()))
    op.create_index("transitions_by_op", "transitions", ["op"], unique=True)
