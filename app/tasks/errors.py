from app.errors import Problem


class TaskNotFound(Problem):
    """The task does not exist, is deleted, or is somebody else's: the caller cannot tell which."""

    status, code, detail = 404, "task_not_found", "Task not found"


class StaleRevision(Problem):
    """The task changed since the revision that the client named; nothing was written."""

    status, code, detail = 412, "stale_revision", "The task has changed since the revision given in If-Match"


class ChangesGone(Problem):
    """What changed can no longer be told: deletions were forgotten since, or the database is another one."""

    status, code, detail = 410, "changes_gone", "Changes since that revision are no longer known; start again from 0"
