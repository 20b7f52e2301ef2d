"""On what others pretrained a network, from the tag in the name of its weights."""

from __future__ import annotations

import re

DATA = {
    "lvd142m": "LVD-142M without labels",
    "lvd1689m": "LVD-1689M without labels",
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
    "yfcc15m": "YFCC image-text pairs",
    "yfcc100m": "YFCC100M without labels",
    "ig1b": "a billion images with hashtags",
    "in21k": "ImageNet-21k with labels",
    "in22k": "ImageNet-21k with labels",
    "in12k": "ImageNet-12k with labels",
    "in1k": "ImageNet with labels",
    "imagenet1k": "ImageNet with labels",
}
"""By the words that timm, open_clip and torchvision put into their tags."""


def pretraining_data(tag: str) -> str | None:
    """The data that a tag such as "augreg_in21k_ft_in1k" names, in words; None where it names none that is known."""
    words = re.split(r"[^a-z0-9]+", tag.lower())
    found = dict.fromkeys(DATA[word] for word in words if word in DATA)
    # A tag's word may go on: "datacomp1b", "openai" beside a size.
    found |= dict.fromkeys(text for key, text in DATA.items() if any(word.startswith(key) for word in words))
    return " and ".join(found) or None
