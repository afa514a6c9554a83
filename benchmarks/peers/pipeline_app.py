"""`transformers.pipeline` behind FastAPI, as its documentation has it: python pipeline_app.py MODEL PORT"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class Question(BaseModel):
    """The body that all servers take."""

    inputs: list[str]


app = FastAPI()
classify = pipeline("text-classification", model=sys.argv[1], device="cpu")


@app.post("/predict")
def predict(question: Question) -> list[dict[str, object]]:
    """One forward pass for each request, on a thread of FastAPI's pool."""
    return list(classify(question.inputs))


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
