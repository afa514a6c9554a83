"""Sections of how it is learned: what learns, from what, by which steps, and what is searched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.strict import Share, Strict

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
ScopeKind = Literal["frozen", "bias", "top", "gradual", "lora", "full"]
ObjectiveKind = Literal["supervised", "contrastive"]
Adapter = Literal["lora", "rslora", "dora", "pissa"]


class FrozenScope(Strict):
    inverse_regularisation: list[float] = Field(
        min_length=1, description="Values of C tried for the solved head, by cross-validation."
    )
    folds: int = Field(ge=2, le=20, description="Folds of that cross-validation.")

    @model_validator(mode="after")
    def _positive(self) -> FrozenScope:
        if min(self.inverse_regularisation) <= 0:
            raise ValueError("every value of inverse_regularisation must be above 0")
        return self


class TopScope(Strict):
    blocks: int = Field(ge=1, description="How many of the highest blocks learn.")


class GradualScope(Strict):
    decay: float = Field(gt=0, le=1, description="Factor on the rate from a block to the one below it.")
    all_from: Share = Field(description="Share of all steps from which every block learns; the last one does at once.")


class LoraScope(Strict):
    adapter: Adapter = Field(description="Which of the family: LoRA itself, rank-stabilised, DoRA or PiSSA.")
    rank: int = Field(ge=1, description="Of the product that is added to each linear map.")
    alpha: float = Field(gt=0, description="The product counts alpha / rank times, rank-stabilised alpha / √rank.")


class Training(Strict):
    """How a network is trained by gradient steps; the adapted model and the control each have one."""

    learning_rates: list[Rate] = Field(min_length=1, description="Peak rates the search tries.")
    search_epochs: int = Field(ge=1, description="Epochs each rate gets in the search.")
    epochs: int = Field(ge=1, description="Passes over the training rows, at most.")
    patience: int = Field(ge=1, description="Epochs without a better validation loss before stopping.")
    batch_rows: int = Field(ge=1, description="Rows a step.")
    pass_positions: int = Field(
        ge=1,
        description="Tokens or patches, padding included, of a forward and backward pass at most; a step of more is "
        "computed in several whose gradients add up.",
    )
    warmup_share: Share = Field(description="Share of all steps in which the rate rises from 0.")
    decay: Literal["linear", "cosine"] = Field(description="How the rate falls to 0 after that.")
    weight_decay: float = Field(ge=0, description="AdamW decay of weights, not of biases and norms.")
    max_gradient_norm: float = Field(gt=0, description="Gradients are clipped to this L2 norm.")


class Scope(Strict):
    kind: Literal["auto", ScopeKind] = Field(description="What learns; auto: as selection chose.")
    frozen: FrozenScope
    top: TopScope
    gradual: GradualScope
    lora: LoraScope


class Weight(Strict):
    """Of a loss beside another, in a straight line over all steps; 0 at both ends is off."""

    start: float = Field(ge=0, description="At the first step.")
    end: float = Field(ge=0, description="After the last step.")

    def at(self, progress: float) -> float:
        """Its value when this share of all steps is done, in [0, 1]."""
        return self.start + progress * (self.end - self.start)

    @property
    def on(self) -> bool:
        """Whether it counts at any time."""
        return max(self.start, self.end) > 0


class SupervisedObjective(Strict):
    label_smoothing: Share = Field(description="Share of each target that is spread over all labels; 0 is off.")
    mixup: float = Field(
        ge=0, description="Alpha of the Beta distribution by which features of two rows are mixed; 0 is off."
    )
    contrastive_weight: Weight = Field(
        description="Of the loss of the pairs in each batch, at contrastive.temperature, beside that of its labels."
    )

    @property
    def whole_batches(self) -> bool:
        """Whether rows of a batch belong together, so that a step has one pass."""
        return self.mixup > 0 or self.contrastive_weight.on


class ContrastiveObjective(Strict):
    steps: int = Field(ge=1, description="Gradient steps; validation rows do not end them.")
    learning_rate: Rate = Field(description="Peak rate; adaptation.training says how it rises.")
    batch_rows: int = Field(ge=4, description="Rows a step, all pairs of which count.")
    temperature: float = Field(gt=0, description="Of the loss; the lower, the more the nearest rows count.")


class Objective(Strict):
    kind: Literal["auto", ObjectiveKind] = Field(
        description="From what is learned; auto: as selection chose with the scope, supervised where "
        "adaptation.scope.kind names one."
    )
    supervised: SupervisedObjective
    contrastive: ContrastiveObjective

    def beside(self, kind: str) -> dict[str, Weight]:
        """Rows of the table that add to this one's loss, with their weights."""
        every = {"contrastive": self.supervised.contrastive_weight} if kind == "supervised" else {}
        return {name: weight for name, weight in every.items() if weight.on}


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
        """Passes over the training rows by a search and by the winner's training, from each seed.

        Early stopping takes fewer. Where that training fails, another rate or trial is trained for as many more, which
        are not counted.
        """
        rates = len(training.learning_rates)
        return (self.trials or (rates if rates > 1 else 0)) * training.search_epochs + self.seeds * training.epochs

    def least_batch_rows(self, training: Training) -> int:
        """Of the trial with the most steps."""
        return min(self.space.batch_rows or [training.batch_rows]) if self.trials else training.batch_rows
