"""Kinds of data, one folder each. The dict below is the whole registry; rows are imported on use."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

MODALITIES: dict[str, str] = {"text": "tasks.modalities.text", "image": "tasks.modalities.image"}


def part(modality: str, name: str) -> ModuleType:
    """Module `name` (source, settings, guess, encode, augment, backbone, classical) of a modality."""
    return import_module(f"{MODALITIES[modality]}.{name}")
