"""Near duplicates of test rows planted among training rows: how many leave, and what leaves beside them.

`python -m benchmarks.near_duplicates FOLDER...`: each has train.csv and test.csv with the columns text and label.
"""

from __future__ import annotations

import csv
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

from tasks.params import Params
from tasks.rows.clean import load

HOUSE = Path(__file__).resolve().parents[1]
SHARE, DRAWS = 0.02, 5
Rows = list[tuple[str, str]]


def words_changed(text: str, count: int, words: list[str], draw: random.Random) -> str:
    parts = text.split()
    for place in draw.sample(range(len(parts)), min(count, len(parts))):
        parts[place] = draw.choice(words)
    return " ".join(parts)


def mistyped(text: str, words: list[str], draw: random.Random) -> str:
    """Two neighbours in each other's place, twice."""
    for _ in range(2):
        place = draw.randrange(len(text) - 1)
        text = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return text


def punctuated(text: str, words: list[str], draw: random.Random) -> str:
    return ", ".join(text.upper().split(" ")) + "!!"


CHANGES: dict[str, Callable[[str, list[str], random.Random], str]] = {
    "a word": lambda text, words, draw: words_changed(text, 1, words, draw),
    "two words": lambda text, words, draw: words_changed(text, 2, words, draw),
    "three words": lambda text, words, draw: words_changed(text, 3, words, draw),
    "two typos": mistyped,
    "case and punctuation": punctuated,
}


def read(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def write(path: Path, rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def leaving(root: Path, threshold: float) -> set[int]:
    """Numbers of the training rows that leave as duplicates of test rows, exact ones among them."""
    tree = yaml.safe_load((HOUSE / "params.yaml").read_text(encoding="utf-8"))
    tree["data"] |= {"path": "train.csv", "test": "test.csv", "where": {}, "near_duplicate_similarity": threshold}
    found = load(root, Params.model_validate(tree)).quarantined
    return {fault.number for fault in found if "duplicate of test row" in fault.reason}


def measure(folder: Path, threshold: float) -> None:
    """Print recall by kind of change and precision, over all draws, and what leaves of the rows as they were."""
    train, test = read(folder / "train.csv"), read(folder / "test.csv")
    words = [word for text, _ in train for word in text.split()]
    hits = {name: [0, 0] for name in CHANGES}
    left = 0
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write(root / "test.csv", test)
        write(root / "train.csv", train)
        natural = leaving(root, threshold)
        for seed in range(DRAWS):
            draw = random.Random(seed)
            names = [list(CHANGES)[i % len(CHANGES)] for i in range(int(SHARE * len(train)))]
            chosen = draw.sample([row for row in test if len(row[0]) > 2], len(names))
            made = [
                (CHANGES[name](text, words, draw), label) for name, (text, label) in zip(names, chosen, strict=True)
            ]
            write(root / "train.csv", [*train, *made])
            gone = leaving(root, threshold) - natural
            left += len(gone)
            for number, name in enumerate(names, start=len(train) + 1):
                hits[name][0] += number in gone
                hits[name][1] += 1
    right, planted = (sum(pair[i] for pair in hits.values()) for i in (0, 1))
    kinds = ", ".join(f"{name} {100 * found / count:.0f}" for name, (found, count) in hits.items())
    length = sorted(len(text) for text, _ in test)[len(test) // 2]
    print(
        f"{folder.name}, {length} characters, from {threshold}: recall {right / planted:.3f} of {planted} ({kinds}), "
        f"precision {right / max(1, left):.3f}, {right / max(1, left + DRAWS * len(natural)):.3f} with the "
        f"{len(natural)} of {len(train)} rows that leave anyhow"
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        measure(Path(name), 0.65)
