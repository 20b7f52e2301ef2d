"""On what others pretrained a network, from the tag in the name of its weights."""

from __future__ import annotations

import re

DATA = {
    "lvd142m": "LVD-142M without labels",
    "lvd1689m": "LVD-1689M without labels",
    "sat493m": "SAT-493M without labels",
    "dino": "ImageNet without labels",
    "mae": "ImageNet without labels",
    "fcmae": "ImageNet without labels",
    "openai": "400 million image-text pairs",
    "laion400m": "LAION-400M image-text pairs",
    "laion2b": "LAION-2B image-text pairs",
    "laion5b": "LAION-5B image-text pairs",
    "datacomp": "DataComp image-text pairs",
    "metaclip": "MetaCLIP image-text pairs",
    "webli": "WebLI image-text pairs",
    "commonpool": "CommonPool image-text pairs",
    "dfn": "DFN image-text pairs",
    "merged2b": "Merged-2B image-text pairs",
    "cc12m": "CC12M image-text pairs",
    "yfcc15m": "YFCC image-text pairs",
    "yfcc100m": "YFCC100M without labels",
    "ig1b": "a billion images with hashtags",
    "swag": "3.6 billion images with hashtags",
    "seer": "a billion images without labels",
    "jft": "JFT-300M",
    "in21k": "ImageNet-21k with labels",
    "in22k": "ImageNet-21k with labels",
    "in12k": "ImageNet-12k with labels",
    "in1k": "ImageNet with labels",
    "imagenet1k": "ImageNet with labels",
}
"""By the words that timm, open_clip and torchvision put into their tags."""
WITHOUT_LABELS = {"mim", "ijepa"}
"""Words for a training that looks at no labels, whatever the data, until it is gone on with ("ft")."""


def pretraining_data(tag: str) -> str | None:
    """The data that a tag such as "augreg_in21k_ft_in1k" names, in words; None where it names none that is known."""
    first, *later = re.split(r"_ft_", tag.lower(), maxsplit=1)
    found = [*_named(first), *(text for part in later for text in _named(part))]
    return " and ".join(dict.fromkeys(found)) or None


def _named(part: str) -> list[str]:
    """The data that a part of a tag names. A word may go on: "datacomp1b", "openai" beside a size."""
    words = re.split(r"[^a-z0-9]+", part)
    found = [DATA[word] for word in words if word in DATA]
    found += [text for key, text in DATA.items() if any(word.startswith(key) for word in words)]
    if WITHOUT_LABELS.isdisjoint(words):
        return found
    return [text.replace("with labels", "without labels") for text in found]
