"""A plan carried out with its checkpoint, and what must be said of it: what commands call."""

from collections.abc import Callable, Sequence

from cka_cli.execution.execute import execute
from cka_cli.execution.executors import Executor
from cka_cli.execution.found import Found
from cka_cli.execution.notes import notes_of, warnings_of
from cka_cli.execution.store import open_store, plan_to_go_on_with
from cka_cli.layers.selection import SelectedFile
from cka_cli.options import ReadOptions
from cka_cli.plan.planner import Plan
from cka_cli.plan.request import Request
from cka_cli.system.progress import Progress


def run_plan(
    request: Request,
    plan: Plan,
    files: Sequence[SelectedFile],
    read: ReadOptions,
    executor: Callable[[int], Executor],
    on_progress: Progress,
) -> tuple[Found, list[str], list[str]]:
    """Return what was found, notes, and warnings; the plan of a run that is gone on with comes before the one given."""
    store = open_store(request, files, read)
    plan = plan_to_go_on_with(store, plan, request.run.checkpoint)
    with store.running(plan):
        found = execute(request, plan, executor, on_progress, store)
    notes = []
    if store.trouble:
        notes.append(f"{request.run.checkpoint}: the checkpoint could not be saved ({store.trouble}); the run went on")
    return found, notes + notes_of(request, found), warnings_of(request, found)
