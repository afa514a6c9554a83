"""The section `adaptation.search`: how many trials, over what, and how often the winner is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from tasks.strict import Strict

if TYPE_CHECKING:
    from tasks.sections import Training

Count = Annotated[int, Field(ge=1)]


class Range(Strict):
    low: float | None = Field(ge=0, description="Lowest value; null for both ends keeps what training says.")
    high: float | None = Field(le=1, description="Highest value, or null.")
    log: bool = Field(description="Whether values are drawn evenly on a logarithmic scale.")

    @model_validator(mode="after")
    def _upright(self) -> Range:
        if self.low is None or self.high is None:
            if self.low != self.high:
                raise ValueError("low and high go together: give both, or null for both")
        elif self.low >= self.high:
            raise ValueError(f"low must be below high, and {self.low:g} is not below {self.high:g}")
        elif self.log and self.low == 0:
            raise ValueError("on a logarithmic scale no range begins at 0: raise low, or set log to false")
        return self


class Space(Strict):
    learning_rate: Range = Field(
        description="Peak rate; null takes the range from the lowest to the highest of training.learning_rates."
    )
    weight_decay: Range
    warmup_share: Range
    batch_rows: list[Count] | None = Field(min_length=1, description="Rows a step, to choose from; or null.")
    lora_rank: list[Count] | None = Field(min_length=1, description="Rank of the scope lora, to choose from; or null.")

    @model_validator(mode="after")
    def _learns(self) -> Space:
        if self.learning_rate.low == 0:
            raise ValueError("learning_rate.low must be above 0, for at a rate of 0 nothing is learned")
        return self

    @property
    def ranges(self) -> dict[str, tuple[float, float, bool]]:
        """Lowest and highest value and whether on a logarithmic scale, by name, of those that have ends."""
        every = {name: getattr(self, name) for name in ("learning_rate", "weight_decay", "warmup_share")}
        return {name: (one.low, one.high, one.log) for name, one in every.items() if one.low is not None}

    @property
    def choices(self) -> dict[str, list[int]]:
        """Those that are given, by name."""
        every = {"batch_rows": self.batch_rows, "lora_rank": self.lora_rank}
        return {name: one for name, one in every.items() if one is not None}


class Search(Strict):
    """Trials by Optuna in the place of training.learning_rates, and trainings of the winner."""

    trials: int = Field(ge=0, le=1000, description="Trials of search_epochs each; 0 tries training.learning_rates.")
    seeds: int = Field(
        ge=1, le=100, description="Trainings of the winner, whose spread is told; that of project.seed is the model."
    )
    space: Space = Field(description="What a trial draws; null keeps what training says.")

    @model_validator(mode="after")
    def _has_a_range(self) -> Search:
        if self.trials and not (self.space.ranges or self.space.choices):
            raise ValueError(
                f"trials is {self.trials}, but all of space is null: give space.learning_rate a low and a high, or set "
                "trials to 0"
            )
        return self

    @property
    def of_control(self) -> Search:
        """The control's: as many trials, at rates from the lowest to the highest of its own, trained once."""
        anyhow = Range(low=None, high=None, log=True)
        space = self.space.model_copy(update={"learning_rate": anyhow, "lora_rank": None})
        return self.model_copy(update={"space": space, "seeds": 1})

    def epochs(self, training: Training) -> int:
        """Passes over the training rows that a search and what follows it take at most."""
        rates = len(training.learning_rates)
        return (self.trials or (rates if rates > 1 else 0)) * training.search_epochs + self.seeds * training.epochs

    def least_batch_rows(self, training: Training) -> int:
        """Of the trial with the most steps."""
        return min(self.space.batch_rows or [training.batch_rows]) if self.trials else training.batch_rows
