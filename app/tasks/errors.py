from app.errors import Problem


class TaskNotFound(Problem):
    """The task does not exist, is deleted, or is somebody else's: the caller cannot tell which."""

    status, code, detail = 404, "task_not_found", "Task not found"


class StaleRevision(Problem):
    """The task changed since the revision that the client named; nothing was written."""

    status, code, detail = 412, "stale_revision", "The task has changed since the revision given in If-Match"
