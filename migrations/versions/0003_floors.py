"""The revision that each user's changes go back to.

Revision: 0003
Follows: 0002

Upgrade: ADD COLUMN takes ACCESS EXCLUSIVE on `users` for a moment, once the statements under way are done. No row is
written: a constant for the rows there are stands in the catalog only. Their tombstones are all still kept, so their
changes go back to the start; those of users who are added from now on, also by the version before, go back to that day.
Downgrade: the same lock.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("users", sa.Column("floor", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.alter_column("users", "floor", server_default=sa.text("(extract(epoch FROM now()) * 1000000)::bigint"))


def downgrade() -> None:
    op.drop_column("users", "floor")
