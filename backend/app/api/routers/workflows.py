"""What can be started, and starting it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from app.workflows.definitions import WORKFLOWS
from app.workflows.service import WorkflowNotFound

from ..dependencies import MAX_PAGE, Limit, Offset, WorkflowServiceDep
from ..exception_handlers import problems
from ..schemas.requests import RunCreate
from ..schemas.responses import Page, RunCreated, ValidationProblem, WorkflowOut, WorkflowStepOut

router = APIRouter(prefix="/workflows", tags=["workflows"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="A text of your own, new for each run: repeating a request with it gives the same run, not another",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]


async def known_workflow(workflow_type: Annotated[str, Path(examples=["product_content"])]) -> str:
    """Refuse an unknown workflow before its brief is looked at: its name is the first thing to mend."""
    if workflow_type not in WORKFLOWS:
        raise WorkflowNotFound(workflow_type)
    return workflow_type


@router.get("", summary="List the workflows")
async def list_workflows(limit: Limit = MAX_PAGE, offset: Offset = 0) -> Page[WorkflowOut]:
    """Tell which workflows can be started, and the steps of each."""
    offered = [
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
    return Page(items=offered[offset : offset + limit], total=len(offered), limit=limit, offset=offset)


@router.post(
    "/{workflow_type}/runs",
    status_code=202,
    summary="Start a run",
    responses={
        202: {
            "description": "The run is queued; Location is where to see how it fares.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The address of the run"}},
        },
        **problems(c404="No such workflow; the message lists those there are."),
        422: {
            "model": ValidationProblem,
            "description": "The brief does not fit, or the Idempotency-Key belongs to another request.",
        },
    },
)
async def start_run(  # noqa: PLR0917 - FastAPI calls it by name
    workflow_type: Annotated[str, Depends(known_workflow)],
    asked: RunCreate,
    studio: WorkflowServiceDep,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> RunCreated:
    """Queue a run of a workflow and answer at once; its agents work while you ask for its state."""
    brief = asked.model_dump(exclude={"brand"})
    run = await studio.submit(workflow_type, asked.brand, brief, _bare(idempotency_key))
    # A path, not an address: the Host header is the caller's word.
    response.headers["Location"] = request.url_for("get_run", run_id=run.id).path
    return RunCreated(run_id=run.id, workflow_type=run.workflow_type, brand=run.brand.name, status=run.status)


def _bare(key: str | None) -> str | None:
    """Take the key with the quotes that the draft writes around it, or without, as most clients send it."""
    return key[1:-1] if key is not None and len(key) > 2 and key[0] == key[-1] == '"' else key
