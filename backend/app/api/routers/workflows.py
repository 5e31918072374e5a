"""The routes of workflows: list them, and start a run of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from app.workflows.definitions import WORKFLOWS
from app.workflows.workflow_errors import WorkflowNotFound

from ..dependencies import MAX_PAGE, Limit, Offset, WorkflowServiceDep, get_writable_database
from ..exception_handlers import error_responses
from ..schemas.errors import ValidationProblem
from ..schemas.pagination import Page
from ..schemas.runs import RunCreate, RunCreated
from ..schemas.workflows import WorkflowOut, WorkflowStepOut

router = APIRouter(prefix="/workflows", tags=["workflows"])

# Without an example: documentation would fill it in for every run, and the second would conflict with the first.
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="A text of your own, new for each run: repeating a request with it gives the same run, not another",
    ),
]


async def existing_workflow(workflow_type: Annotated[str, Path(examples=["product_content"])]) -> str:
    """Return the name of a workflow that exists.

    As a dependency it is resolved before the body is validated: a wrong name is the first thing to mend.

    Raises:
        WorkflowNotFound: There is none of that name.
    """
    if workflow_type not in WORKFLOWS:
        raise WorkflowNotFound(workflow_type)
    return workflow_type


@router.get("", summary="List the workflows")
async def list_workflows(limit: Limit = MAX_PAGE, offset: Offset = 0) -> Page[WorkflowOut]:
    """Return the workflows that can be started, with their steps."""
    workflows = [
        WorkflowOut(
            name=workflow.name,
            description=workflow.description,
            steps=[
                WorkflowStepOut(name=step.name, agent_name=step.agent_name, task=step.task, stage=number)
                for number, stage in enumerate(workflow.stages, 1)
                for step in stage
            ],
        )
        for workflow in WORKFLOWS.values()
    ]
    return Page(items=workflows[offset : offset + limit], total=len(workflows), limit=limit, offset=offset)


@router.post(
    "/{workflow_type}/runs",
    status_code=202,
    summary="Start a run",
    dependencies=[Depends(get_writable_database)],
    responses={
        202: {
            "description": "The run is queued; Location is where to read its state.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The address of the run"}},
        },
        **error_responses(
            {
                404: "No such workflow; the message lists those there are.",
                429: "As many runs wait in the queue as may; Retry-After says when to try again.",
            }
        ),
        422: {
            "model": ValidationProblem,
            "description": "The brief does not fit, or the Idempotency-Key belongs to another request.",
        },
    },
)
async def start_run(  # noqa: PLR0917 - FastAPI passes keyword arguments
    workflow_type: Annotated[str, Depends(existing_workflow)],
    body: RunCreate,
    workflows: WorkflowServiceDep,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> RunCreated:
    """Queue a run of a workflow and return at once; read its state at its Location."""
    brief = body.model_dump(exclude={"brand"})
    run = await workflows.submit(workflow_type, body.brand, brief, _unquote(idempotency_key))
    # A path, not a URL: the Host header is whatever the client sends.
    response.headers["Location"] = request.url_for("get_run", run_id=run.id).path
    return RunCreated(run_id=run.id, workflow_type=run.workflow_type, brand=run.brand.name, status=run.status)


def _unquote(key: str | None) -> str | None:
    """Return the key without the quotes that the draft standard writes around it; most clients send none."""
    return key[1:-1] if key is not None and len(key) > 2 and key[0] == key[-1] == '"' else key
