"""The latest changes of users with very many tasks, and how many tasks each user has.

Revision: 0006
Follows: 0005

Upgrade: ADD COLUMN takes ACCESS EXCLUSIVE on `users` for a moment, once the statements under way are done, and writes
no row. Then the tasks are counted, which locks nothing, and the rows of users with very many are written, as their own
writes do. The version before logs no changes: those that it makes are looked for among the tasks.
Downgrade: the same lock.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

MANY = 5000


def upgrade() -> None:
    op.create_table(
        "task_changes",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "slot", name="task_changes_pkey"),
        postgresql_with={"fillfactor": 90},
    )
    op.add_column("users", sa.Column("tasks", sa.Integer(), server_default=sa.text("0"), nullable=False))
    with op.get_context().autocommit_block():
        op.execute(
            sa.text(
                """UPDATE users SET tasks = counted.tasks
                   FROM (
                       SELECT user_id, count(*) AS tasks FROM tasks GROUP BY user_id HAVING count(*) > :many
                   ) AS counted
                   WHERE users.id = counted.user_id"""
            ).bindparams(many=MANY)
        )


def downgrade() -> None:
    op.drop_column("users", "tasks")
    op.drop_table("task_changes")
