"""Limits on the models to recommend for this machine."""

from pydantic import BaseModel, ConfigDict, Field


class RecommendationLimits(BaseModel):
    """Limits on a model at a resolution; None means no limit.

    max_latency_ms         one request with a photo of 1280 x 720, decoded and classified
    max_service_memory_mb  peak memory of the whole service process, unlike `max_memory_mb` of
                           `model=auto`, which counts weights and activations
    max_madds, max_params  multiply-adds for one image, parameters
    min_top1               top-1 accuracy in percent
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_latency_ms: float | None = Field(None, gt=0)
    max_service_memory_mb: float | None = Field(None, gt=0)
    max_madds: int | None = Field(None, gt=0)
    max_params: int | None = Field(None, gt=0)
    min_top1: float | None = Field(None, ge=0, le=100)

    def given(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return self.model_dump(exclude_none=True)
