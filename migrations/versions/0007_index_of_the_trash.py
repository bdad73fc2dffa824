"""Deleted tasks of a user, newest deletion first.

Revision: 0007
Follows: 0006

Upgrade: CREATE INDEX CONCURRENTLY takes SHARE UPDATE EXCLUSIVE on `tasks`, which stops neither reads nor writes, reads
the table twice and waits for the transactions that are older. What an attempt that failed has left is removed first.
Downgrade: DROP INDEX CONCURRENTLY takes the same.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NAME = "tasks_user_id_deleted_at_id_idx"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            NAME,
            "tasks",
            ["user_id", sa.text("deleted_at DESC"), sa.text("id DESC")],
            postgresql_concurrently=True,
            postgresql_where=sa.text("deleted_at IS NOT NULL"),
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "tasks", if_exists=True, postgresql_concurrently=True)
