from app.errors import Problem


class TaskNotFound(Problem):
    """The task does not exist, is deleted, or is somebody else's: the caller cannot tell which."""

    status, code, detail = 404, "task_not_found", "Task not found"


class MalformedIdempotencyKey(Problem):
    """The header is there and is no key."""

    status, code, detail = 400, "malformed_idempotency_key", "Idempotency-Key must be 8 to 64 of A-Z a-z 0-9 - _"


class IdempotencyKeyReused(Problem):
    """The key, or uid, was used before, for another task."""

    status, code = 422, "idempotency_key_reused"
    detail = "A task was created with this key already, from another body"


class TaskDeleted(Problem):
    """The key's task was created, and has been deleted since; nothing was written."""

    status, code, detail = 410, "task_deleted", "The task that was created with this key has been deleted"


class StaleRevision(Problem):
    """The task changed since the revision that the client named; nothing was written."""

    status, code, detail = 412, "stale_revision", "The task has changed since the revision given in If-Match"


class ChangesGone(Problem):
    """What changed can no longer be told: deletions were forgotten since, or the database is another one."""

    status, code, detail = 410, "changes_gone", "Changes since that revision are no longer known; start again from 0"
