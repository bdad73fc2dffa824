"""${message}.

Revision: ${up_revision}
Follows: ${down_revision | comma,n}

This file is one transaction, and waits no longer than two seconds for any lock. An index on a table in use is built
beside the writes, in a file of its own that does nothing else:

    with op.get_context().autocommit_block():
        # a build that failed leaves an invalid index of this name behind
        op.drop_index("tasks_…_idx", "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index("tasks_…_idx", "tasks", ["user_id", "…"], postgresql_concurrently=True)
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
