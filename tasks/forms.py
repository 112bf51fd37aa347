"""What goes into pipelines and steps: the forms to fill in, and what is wrong with the rest."""

from typing import Any

from pydantic import BaseModel, ValidationError

from models.errors import Conflict, NotFound, Unprocessable


class InvalidItems(Unprocessable):
    """The items to run over need distinct, non-empty keys."""

    code = "invalid_items"


class UnknownPipeline(NotFound):
    """There is no such pipeline, or it cannot be started this way."""

    code = "unknown_pipeline"


class PipelineChanged(Conflict):
    """The pipeline has changed since this job began; start a new one."""

    code = "pipeline_changed"


class UnknownStep(Unprocessable):
    """The pipeline has no such step."""

    code = "unknown_step"


class NotReached(Conflict):
    """The job has not come to this step yet; what it would begin from is not there."""

    code = "step_not_reached"


class InvalidInput(Unprocessable):
    """This is no valid input for the pipeline."""

    code = "invalid_input"


def shape(model: type[BaseModel]) -> Any:
    """Return a model's JSON schema without its prose."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in ("title", "description")}
        return [strip(one) for one in value] if isinstance(value, list) else value

    return strip(model.model_json_schema())


def validate(form: type[BaseModel], value: Any) -> BaseModel:
    """Return `value` as `form`. Raises InvalidInput, with what is wrong where."""
    try:
        return form.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(errors=error.errors(include_url=False, include_context=False)) from None
