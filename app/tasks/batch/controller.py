from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.auth.caller import Caller
from app.http.answers import JSONResponse
from app.http.body import StrictRequest
from app.tasks.batch import openapi
from app.tasks.batch.repository import BatchStore
from app.tasks.batch.schemas import Batch, BatchAnswer


class BatchController(Controller):
    """Many changes of the caller's tasks at once."""

    path = "/api/{user_id:str}/tasks/batch"
    tags = ["tasks"]  # noqa: RUF012 - Litestar reads it from the class

    @post(status_code=200, **openapi.BATCH)
    async def run(
        self, request: StrictRequest[Caller], batches: NamedDependency[BatchStore], data: JSONBody[Batch]
    ) -> JSONResponse[BatchAnswer]:
        """Up to 100 operations in order: all of them or none, unless `atomic` is false. Sent again, it does no harm.

        Each result has the task as it is now; `deleted_at` tells that it is deleted.
        """
        return JSONResponse(await batches.run(request.user.id, data.read(), atomic=data.atomic))
