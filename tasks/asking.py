"""From which time, cost, bytes or memory on a plan is shown to somebody before it is carried out."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from tasks.units import format_bytes, format_seconds, format_usd

if TYPE_CHECKING:
    from tasks.plan import Plan


HOUR = 3600.0


class AskAbove(BaseModel):
    """Limits of a plan that needs no approval; all of them empty: none needs it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, title="Limits")

    seconds: float | None = Field(default=None, ge=0)
    """Predicted time, in seconds."""
    usd: float | None = Field(default=None, ge=0)
    """Predicted cost in US dollars; needs usd_per_hour."""
    usd_per_hour: float | None = Field(default=None, ge=0)
    """What an hour of all workers together costs."""
    moved: ByteSize | None = None
    """Predicted bytes read and written, such as 2TB."""
    memory: ByteSize | None = None
    """Predicted memory of all workers, such as 64GiB."""
    hours: float = Field(default=168, gt=0, le=8760)
    """How long to wait for an answer before the run fails."""

    @model_validator(mode="after")
    def _has_a_price(self) -> "AskAbove":
        if self.usd is not None and self.usd_per_hour is None:
            raise ValueError(f"usd is {self.usd:g} without a price: give usd_per_hour, what an hour of all workers costs")
        return self

    def exceeded(self, plan: "Plan") -> tuple[str, ...]:
        """What the plan takes more of than these limits, in words; empty where it needs no approval."""
        predicted = plan.predicted
        taken = (
            ("time", predicted.seconds, self.seconds, format_seconds),
            ("cost", predicted.seconds / HOUR * (self.usd_per_hour or 0.0), self.usd, format_usd),
            ("bytes read and written", predicted.bytes_read + predicted.bytes_written, self.moved, format_bytes),
            ("memory", predicted.peak_memory_bytes, self.memory, format_bytes),
        )
        above = ((what, took, limit, show) for what, took, limit, show in taken if limit is not None and took > limit)
        return tuple(f"{what}: {show(took)}, more than {show(limit)}" for what, took, limit, show in above)
