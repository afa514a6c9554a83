"""Where adaptation begins: with what selection chose and preparation left."""

from __future__ import annotations

from tasks import modalities, prepared
from tasks.artifacts import read_json
from tasks.errors import InputError
from tasks.prepared import FOLDER, MODEL
from tasks.stage import Stage
from tasks.training.workbench import Workbench


def open_workbench(stage: Stage) -> Workbench:
    """Read what selection and preparation left."""
    choice = read_json(stage.root / "data/selection/choice.json")
    wanted = stage.params.adaptation.scope.kind
    kind = choice["scope"] if wanted == "auto" else wanted
    chosen = choice["scopes"].get(kind, choice["scopes"]["full"])  # where blocks learn, depth and pool of full serve
    if kind == "frozen" and stage.params.augments:
        raise InputError(
            "Selection chose the scope frozen, which learns from features that are computed once, so that "
            "adaptation.augmentation has no effect: set adaptation.scope.kind to full, or all of augmentation to 0."
        )
    modality = stage.params.project.modality
    folder = stage.root / FOLDER / MODEL
    encoder = modalities.part(modality, "encode").from_model(folder, stage.params.examples)
    return Workbench(kind, chosen["depth"], chosen["pool"], prepared.load(stage.root), encoder, folder, stage)
