"""One number by which logits are divided, so that a probability says how often such an answer is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks import metrics
from tasks.problems.classification.answer import probabilities

LEAST, MOST = 0.05, 20.0
# Chi-squared with one degree of freedom, 95 %: twice the gain in log likelihood that chance alone seldom gives.
PROVEN = 3.841


def temperature(logits: np.ndarray, classes: np.ndarray) -> float:
    """The temperature T of least log loss of softmax(logits / T), 1 where that is not proven better at 95 %.

    It changes no answer. A few rows fit almost any temperature, and one that is wrong does harm to every probability.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2; Wilks 1938, The Large-Sample
    Distribution of the Likelihood Ratio.

    Args:
        logits: (N, K) of N >= 1 rows that the model has not learned from.
        classes: (N,) class numbers.

    Returns:
        In [0.05, 20], six digits: rows that are all answered right would have it at 0.
    """
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        return metrics.log_loss(metrics.judge(classes, probabilities(logits / np.exp(exponent))))

    found = minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded", options={"xatol": 1e-6})
    proven = 2 * len(classes) * (loss(0.0) - found.fun) > PROVEN
    return float(f"{np.exp(found.x):.6g}") if proven else 1.0


def in_words(record: dict[str, Any]) -> str:
    """One sentence.

    Args:
        record: temperature, and before and after it, log_loss and calibration_error.
    """
    before, after = record["before"], record["after"]
    if record["temperature"] == 1:
        return (
            "Probabilities are as the model gives them, for no temperature is proven better on the validation rows; on "
            f"the test rows the log loss is {before['log_loss']:.3f} and the calibration error "
            f"{100 * before['calibration_error']:.1f} points."
        )
    return (
        f"Probabilities are calibrated with temperature {record['temperature']:.3g}, fitted on validation rows; on the "
        f"test rows it takes the log loss from {before['log_loss']:.3f} to {after['log_loss']:.3f} and the calibration "
        f"error from {100 * before['calibration_error']:.1f} to {100 * after['calibration_error']:.1f} points."
    )
