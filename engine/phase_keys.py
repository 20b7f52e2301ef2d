"""The address of a phase in the store: all that its outcome depends on. Nothing is listed by hand.

What a phase can read hangs on its object: modules and their weights, settings, numbers, functions with the variables
that they hold. All of it is in the key, and so are the sources of its classes and functions, of the loop, and of all
that these import. Of the config, what does not hang on a phase cannot reach it. DEC and IDEC share a pretraining
because nothing of `cluster` hangs on it; a setting that does reach a phase is in its key without anybody's help.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Num
from torch import Tensor

from engine.contents import Contents
from engine.sources import source_hashes, versions
from parts.phases import Compute, GradientPhase, Phase

ALWAYS = "engine.loop"
"""The module that runs every phase."""


def phase_keys(
    phases: Sequence[Phase], images: Num[Tensor, "n c h w"], compute: Compute, common: Mapping[str, Any]
) -> list[str]:
    """The address of every phase, in order (hex). To be asked before anything is trained or loaded.

    Args:
        phases: as the method gives them.
        images: the training images that they were made for; `common` says which these are.
        compute: the machine that they were made for; `common` says which it is.
        common: what no phase holds: fingerprints of the images, the seed, the machine.

    Raises:
        TypeError: when something hangs on a phase whose contents cannot be told.
    """
    chain: list[Any] = [{name: value for name, value in common.items() if name != "seed"}]
    keys = []
    drawn = False
    for phase in phases:
        if not drawn and (isinstance(phase, GradientPhase) or phase.draws):
            # What comes before draws nothing, and is shared between seeds.
            chain.append({"seed": common.get("seed")})
            drawn = True
        contents = Contents({id(images): "images", id(compute): "compute"})
        contents.add(phase)
        sources = source_hashes(ALWAYS, *contents.modules)
        chain.append([contents.hexdigest(), sources, versions(sources)])
        keys.append(hashlib.sha256(json.dumps(chain, sort_keys=True).encode()).hexdigest()[:32])
    return keys
