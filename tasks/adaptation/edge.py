"""Where adaptation begins: with what selection chose and preparation left."""

from __future__ import annotations

from typing import Any

from tasks import cuts, modalities, prepared, zero_shot
from tasks.artifacts import read_json
from tasks.errors import InputError
from tasks.params import Adaptation
from tasks.prepared import FOLDER, MODEL
from tasks.stage import Stage
from tasks.training.workbench import Workbench

# Scopes in which no training row is seen anew: what they learn from, and what else there is than no augmentation.
WITHOUT_STEPS = {
    "frozen": ("from features that are computed once", "adaptation.scope.kind to full, or "),
    zero_shot.SCOPE: ("nothing", ""),
}


def open_workbench(stage: Stage) -> Workbench:
    """Read what selection and preparation left."""
    choice = read_json(stage.root / "data/selection/choice.json")
    wanted = stage.params.adaptation.scope.kind
    kind = choice["scope"] if wanted == "auto" else wanted
    cut = cuts.of(choice, kind)
    if kind in WITHOUT_STEPS and stage.params.augments:
        why, way_out = WITHOUT_STEPS[kind]
        raise InputError(
            f"Selection chose the scope {kind}, which learns {why}, so that adaptation.augmentation has no effect: "
            f"set {way_out}all of augmentation to 0."
        )
    learned_from = _objective(stage.params.adaptation, choice)
    if kind in WITHOUT_STEPS and learned_from == "contrastive":
        why, way_out = WITHOUT_STEPS[kind]
        raise InputError(
            f"Selection chose the scope {kind}, which learns {why}, so that adaptation.objective.kind contrastive has "
            f"no effect: set {way_out}adaptation.objective.kind to auto."
        )
    modality = stage.params.project.modality
    folder = stage.root / FOLDER / MODEL
    encoder = modalities.part(modality, "encode").from_model(folder, stage.params.examples)
    data = prepared.load(stage.root)
    return Workbench(kind, cut["depth"], cut["pool"], data, encoder, folder, stage, learned_from)


def _objective(settings: Adaptation, choice: dict[str, Any]) -> str:
    """As the params name it, else as selection chose it with the scope; an older choice has none."""
    if settings.objective.kind != "auto":
        return settings.objective.kind
    chosen: str = choice.get("objective", "supervised") if settings.scope.kind == "auto" else "supervised"
    return chosen
