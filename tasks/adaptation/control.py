"""Stage `adaptation_control`: the same architecture from scratch, on the same rows, fairly treated.

It gets a search of its own, of as many trials, and, before early stopping may end it, at least the epochs of full
fine-tuning. Where the adapted head learns from the validation rows too, so does the control, once they have said when
to stop.
"""

from __future__ import annotations

from dataclasses import replace

from tasks import network as networks
from tasks import zero_shot
from tasks.adaptation.edge import open_workbench
from tasks.artifacts import write_json
from tasks.network import Network
from tasks.predictions import Predictions
from tasks.stage import Stage
from tasks.training import processes
from tasks.training.loop import train
from tasks.training.search import Trained
from tasks.training.tuning import trained
from tasks.training.workbench import Workbench

OUT = "data/adaptation/control"


def main(stage: Stage) -> None:
    """Train the control and write its predictions of the test rows."""
    bench = open_workbench(stage)
    if not bench.data.labelled:
        write_json(stage.out(f"{OUT}/control.json"), {"why_not": zero_shot.UNLABELLED})
        return
    settings, search = stage.params.receipt.scratch, stage.params.adaptation.search.of_control
    processes.begin(stage.params.resources.processes, bench.device)
    found = trained(
        bench,
        bench.maker(bench.backbones.from_scratch),
        "full",
        settings,
        search.model_copy(update={"trials": 0}) if bench.solved else search,
        stage.params.adaptation.training.epochs,
    )
    network = _refitted(bench, found) if bench.solved else found.network
    processes.end()
    test = bench.data.of("test")
    logits = networks.logits(network, bench.encoder, test.encoded)
    Predictions(test.ids, logits).save(stage.out(f"{OUT}/predictions.arrow"))
    record = found.record() | {"precision": bench.precision, "refitted_with_validation_rows": bench.solved}
    write_json(stage.out(f"{OUT}/control.json"), record)


def _refitted(bench: Workbench, found: Trained) -> Network:
    """Trained anew on training and validation rows, for as many epochs as were best.

    Kept is that with the lowest loss on the validation rows, as of any training. Since they are learned from here, it
    is the last one or one that hardly differs.
    """
    settings = bench.stage.params.receipt.scratch
    epochs = found.progress.best_epoch + 1
    job = bench.job(settings, least_epochs=epochs)
    both = bench.data.of("train", "validation")
    network = bench.maker(bench.backbones.from_scratch)()
    bench.stage.say(f"Training the control again with the validation rows, {epochs} epochs.")
    train(
        network,
        bench.scope("full"),
        bench.objective(settings, both),
        replace(job, train=both, rate=found.rate, epochs=epochs),
        bench.resume_folder() / "refit",
        bench.stage.say,
    )
    return network


if __name__ == "__main__":
    processes.run("adaptation_control", main)
