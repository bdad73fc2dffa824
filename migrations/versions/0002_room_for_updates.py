"""Let updates stay on their page: no index on the revision of tasks, and room for the next version of a row.

Revision: 0002
Follows: 0001

Upgrade: the storage parameters take SHARE UPDATE EXCLUSIVE, which stops neither reads nor writes; they hold for pages
filled from now on. DROP INDEX takes ACCESS EXCLUSIVE on `tasks` for a moment, once the statements under way are done.
Downgrade: CREATE INDEX takes SHARE, which stops writes to `tasks` while it reads the table.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE users SET (fillfactor = 50)")
    op.execute("ALTER TABLE tasks SET (fillfactor = 90)")
    op.drop_index("tasks_user_id_revision_idx", table_name="tasks")


def downgrade() -> None:
    op.create_index("tasks_user_id_revision_idx", "tasks", ["user_id", "revision"])
    op.execute("ALTER TABLE tasks RESET (fillfactor)")
    op.execute("ALTER TABLE users RESET (fillfactor)")
