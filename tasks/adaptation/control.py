"""Stage `adaptation_control`: the same architecture from scratch, on the same rows, fairly treated.

It gets a rate search of its own and, before early stopping may end it, at least the epochs of full fine-tuning.
"""

from __future__ import annotations

from tasks import network as networks
from tasks.adaptation import scope as scopes
from tasks.adaptation.edge import open_workbench
from tasks.adaptation.objective.supervised import Supervised
from tasks.adaptation.search import search_and_train
from tasks.artifacts import write_json
from tasks.predictions import Predictions
from tasks.stage import Stage, run

OUT = "data/adaptation/control"


def main(stage: Stage) -> None:
    """Train the control and write its predictions of the test rows."""
    bench = open_workbench(stage)
    settings = stage.params.receipt.scratch
    network, progress, rate, losses = search_and_train(
        bench.maker(bench.backbones.from_scratch),
        scopes.get("full"),
        Supervised(settings.batch_rows, bench.learn),
        bench.job(settings, least_epochs=stage.params.adaptation.scope.full.epochs),
        bench.resume_folder(),
        stage.say,
    )
    test = bench.data.of("test")
    logits = networks.logits(network, bench.encoder, test.encoded)
    Predictions(test.ids, logits).save(stage.out(f"{OUT}/predictions.arrow"))
    write_json(
        stage.out(f"{OUT}/control.json"),
        {
            "learning_rate": rate,
            "search": {f"{r:g}": loss for r, loss in losses.items()},
            "epochs": len(progress.history),
            "best_epoch": progress.best_epoch + 1,
            "steps": progress.history[-1].step,
        },
    )
    bench.forget_resume_state()


if __name__ == "__main__":
    run("adaptation_control", main)
