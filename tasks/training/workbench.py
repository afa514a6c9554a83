"""What a training stands on: rows, model and params in, the job, the network and the resume folder out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from tasks import device, features, modalities, prepared, problems
from tasks.artifacts import canonical_json, sha256_file, sha256_folder, sha256_text
from tasks.modalities.contract import Encoder
from tasks.network import Network
from tasks.params import Training
from tasks.prepared import FOLDER, Prepared
from tasks.stage import RESUME, Stage
from tasks.training import objective as objectives
from tasks.training import processes, solve
from tasks.training import scope as scopes
from tasks.training.augmentation import Augmentation
from tasks.training.loop import Job
from tasks.training.objective import Objective

# No output of a stage: the epochs of the training that runs or ran last, be it a trial's, another seed's or the
# control's, for `dvc plots show`; nothing deletes it.
CURVE = "data/adaptation/running.csv"


@dataclass(frozen=True)
class Workbench:
    """Inputs of one training stage.

    Attributes:
        kind: the scope, as the params say or, at `auto`, as selection chose.
        depth: blocks that are kept.
        pool: name of the pool.
        data: all prepared rows.
        encoder: makes batches.
        folder: snapshot of the pre-trained model.
        stage: names params and folders.
        learned_from: the objective, likewise.
    """

    kind: str
    depth: int
    pool: str
    data: Prepared
    encoder: Encoder
    folder: Path
    stage: Stage
    learned_from: str = "supervised"

    @property
    def learn(self) -> ModuleType:
        """The problem's `learn` module."""
        return problems.part(self.stage.params.project.problem, "learn")

    @property
    def backbones(self) -> ModuleType:
        """The modality's `backbone` module."""
        return modalities.part(self.stage.params.project.modality, "backbone")

    @property
    def solved(self) -> bool:
        """Whether the head is solved in the end, since it does not learn, and refitted with the validation rows."""
        return self.kind == "frozen" or not objectives.learns_head(self.learned_from)

    @property
    def training(self) -> Training:
        """How the adapted model is trained, as its objective wants it."""
        adaptation = self.stage.params.adaptation
        return objectives.training(self.learned_from, adaptation.objective, adaptation.training)

    def scope(self, kind: str) -> scopes.Scope:
        """What learns, for the blocks that are kept."""
        return scopes.get(kind, self.stage.params.adaptation.scope, self.depth)

    @property
    def precision(self) -> str:
        """Of training steps: float32 or bfloat16."""
        wanted = self.stage.params.resources.precision
        if wanted != "auto":
            return wanted
        if self.device.type == "cuda":
            return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
        return "bfloat16" if computes_in_bfloat16(torch.cpu.get_capabilities()) else "float32"

    @property
    def device(self) -> torch.device:
        """What trains."""
        return device.pick(self.stage.params.resources.device)

    def maker(self, load: Callable[[Path, int, str], Any], seed: int | None = None) -> Callable[[], Network]:
        """A function that makes the same network at every call, weights drawn from this seed, or the project's."""

        def make() -> Network:
            torch.manual_seed(self.stage.params.project.seed if seed is None else seed)
            backbone = load(self.folder, self.depth, self.pool)
            return Network(backbone, self.learn.make_head(backbone.width, len(self.data.labels))).to(self.device)

        return make

    def from_solved_head(self, network: Network) -> Callable[[], Network]:
        """A maker of networks whose head was solved on the training rows, by the features of this one.

        A follower is given the leader's.
        """
        if processes.rank() > 0:
            return self.maker(self.backbones.load)
        data, params = self.data.of("train"), self.stage.params
        values = self.frozen_features(network, data)
        head = solve.solve(values, data, params.adaptation.scope.frozen, params.project.seed, self.balanced).head
        make = self.maker(self.backbones.load)

        def made() -> Network:
            fresh = make()
            solve.put(fresh, head)
            return fresh

        return made

    def frozen_features(self, network: Network, data: Prepared) -> np.ndarray:
        """(N, F) float32 of rows, by the pre-trained body of a network; kept, since several trainings start there."""
        return features.of_cut(self.store("tasks.features"), network.backbone, self.pool, self.encoder, data.encoded)

    @property
    def draws_head(self) -> bool:
        """Whether gradient steps start from a drawn head instead of a solved one."""
        least: float = modalities.part(self.stage.params.project.modality, "settings").DRAWN_HEAD_FROM
        return len(self.data.of("train")) / len(self.data.labels) >= least

    def job(self, settings: Training, least_epochs: int = 0) -> Job:
        """Training on the training rows, steered by the validation rows."""
        train, validation = self.data.of("train"), self.data.of("validation")
        seed = self.stage.params.project.seed
        job = Job(train, validation, self.encoder, settings, 0.0, settings.epochs, seed, self.precision, least_epochs)
        store, curve = self.store("tasks.boundary"), self.stage.root / CURVE
        return replace(job, weights=self.weights(train), augmentation=self.augmentation(), store=store, curve=curve)

    def store(self, module: str) -> features.Store:
        """Of what this module computes with the pre-trained model."""
        return features.store(self.stage.state("features"), self.stage.params, self.folder, module)

    @property
    def balanced(self) -> bool:
        """Whether rare labels count as much as common ones."""
        return self.stage.params.adaptation.balance != "none"

    def weights(self, data: Prepared) -> np.ndarray | None:
        """(K,) weights of the labels by their rows here; None where all weigh alike."""
        return self.learn.label_weights(data.classes, len(data.labels)) if self.balanced else None

    def objective(self, settings: Training, data: Prepared, kind: str = "supervised") -> Objective:
        """What these rows are learned by."""
        adaptation = self.stage.params.adaptation
        resample = adaptation.balance == "resample"
        weights = None if resample else self.weights(data)
        return objectives.get(kind, adaptation.objective, settings, self.learn, weights, resample)

    def augmentation(self) -> Augmentation | None:
        """What changes training rows, None where all shares are 0."""
        params = self.stage.params
        if not params.augments:
            return None
        module: Any = modalities.part(params.project.modality, "augment")
        return Augmentation(module, params.augmentation, self.encoder, params.project.seed)

    def resume_folder(self) -> Path:
        """Where this stage may go on after a kill: named by a hash of all its inputs."""
        root = self.stage.root
        inputs = {
            "stage": self.stage.name,
            "params": self.stage.params.model_dump(mode="json"),
            "rows": sha256_file(root / FOLDER / prepared.ROWS),
            "model": sha256_folder(self.folder),
            "choice": [self.kind, self.depth, self.pool, self.learned_from],
            "computed": [self.device.type, self.precision],
            "code": (root / "code.yaml").read_text(encoding="utf-8"),
        }
        folder = self.stage.state(RESUME) / self.stage.name / sha256_text(canonical_json(inputs))[:32]
        return folder if processes.rank() == 0 else processes.copied(folder, self.stage.staging)


def computes_in_bfloat16(capabilities: Mapping[str, Any]) -> bool:
    """Whether a CPU multiplies bfloat16 matrices itself: AVX-512 or AMX on x86-64, BF16 on Arm."""
    return any(capabilities.get(name) is True for name in ("avx512_bf16", "amx_bf16", "bf16"))
