"""Names that clients give their tasks, and fingerprints of what they created them with.

Revision: 0004
Follows: 0003

Upgrade: ADD COLUMN takes ACCESS EXCLUSIVE on `tasks` for a moment, once the statements under way are done, and writes
no row. Not in one transaction with the lock on `users`: whoever has locked one and wants the other would be in its way.
Downgrade: the same lock. What the columns held is lost, also the names by which clients know their tasks.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("uid", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("fingerprint", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("tasks", "fingerprint")
    op.drop_column("tasks", "uid")
