"""JSON records of /heads: examples, heads and what teaching found out."""

from contextlib import suppress

from pydantic import BaseModel, Field, ValidationError

from app.errors import RequestError
from app.examples.example import Example
from app.problem import Problem, to_problem
from app.teaching.report import TeachingReport
from app.training import examples
from app.training.taught_heads import Added, HeadState
from app.wire import Wire, with_example


class ExampleQuery(BaseModel, extra="forbid", frozen=True):
    """The query of an upload."""

    base: str | None = Field(
        None,
        description="Model to teach a new head on. Default: the default model, in the form that "
        "cross-validation finds better.",
    )


class ExampleRow(Wire, json_schema_extra=with_example(examples.EXAMPLE)):
    """A labelled image."""

    id: str
    label: str
    created: str = Field(description="When it was added, in UTC.")


class AddedExample(ExampleRow):
    """An image that is kept."""

    duplicate: bool = Field(description="The same bytes had this label already.")


class RejectedExample(Wire):
    """An image that is not kept."""

    error: Problem


class AddedExamples(Wire, json_schema_extra=with_example(examples.ADDED_EXAMPLES)):
    """What became of each image, in their order."""

    examples: list[AddedExample | RejectedExample]


class Report(TeachingReport, json_schema_extra=with_example(examples.REPORT)):
    """What a training found out; files are ids of examples."""


class NewLabel(BaseModel, extra="forbid"):
    """A new label of an example."""

    label: str


class HeadSummary(Wire):
    """A head that is taught over HTTP."""

    name: str
    base: str = Field(description="The model whose embeddings it reads, or was meant to read.")
    labels: dict[str, int] = Field(description="Number of examples of each label.")
    bytes: int = Field(description="Bytes of all its examples on disk.")
    taught: bool = Field(description="A head was trained, and is served.")
    outdated: bool = Field(description="The examples changed since the head was trained.")
    training: bool = Field(description="It is being trained.")
    taught_at: str | None = Field(description="When it was trained, in UTC.")


class HeadDetail(HeadSummary, json_schema_extra=with_example(examples.HEAD_DETAIL)):
    """A head with its examples."""

    examples: list[ExampleRow]
    report: TeachingReport | None = Field(description="What its last training found out.")


class HeadList(Wire, json_schema_extra=with_example(examples.HEAD_LIST)):
    """All heads that are taught over HTTP."""

    heads: list[HeadSummary]


def example_row(example: Example) -> ExampleRow:
    return ExampleRow(id=example.id, label=example.label, created=example.created)


def added_row(added: Added) -> AddedExample | RejectedExample:
    """What became of one image."""
    if isinstance(added, RequestError):
        return RejectedExample(error=to_problem(added))
    example, duplicate = added
    return AddedExample(**dict(example_row(example)), duplicate=duplicate)


def summary(state: HeadState) -> HeadSummary:
    return HeadSummary(
        name=state.folder.name,
        base=state.folder.base,
        labels=state.folder.labels,
        bytes=state.folder.size_bytes,
        taught=state.taught,
        outdated=state.outdated,
        training=state.training,
        taught_at=state.taught_at,
    )


def head_detail(state: HeadState, report: str | None) -> HeadDetail:
    """A head with its examples, and its report if that can be read."""
    return HeadDetail(
        **dict(summary(state)),
        examples=[example_row(one) for _, one in sorted(state.folder.examples.items())],
        report=parse_report(report),
    )


def parse_report(text: str | None) -> TeachingReport | None:
    """The report in a head's file; None if it has none of this version."""
    with suppress(ValidationError):
        return TeachingReport.model_validate_json(text or "")
    return None
