"""One task of a user for each uid.

Revision: 0005
Follows: 0004

Upgrade: CREATE INDEX CONCURRENTLY takes SHARE UPDATE EXCLUSIVE on `tasks`, which stops neither reads nor writes, reads
the table twice and waits for the transactions that are older. What an attempt that failed has left is removed first.
Downgrade: DROP INDEX CONCURRENTLY takes the same.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NAME = "tasks_user_id_uid_idx"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            NAME,
            "tasks",
            ["user_id", "uid"],
            unique=True,
            postgresql_concurrently=True,
            postgresql_where=sa.text("uid IS NOT NULL"),
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "tasks", if_exists=True, postgresql_concurrently=True)
