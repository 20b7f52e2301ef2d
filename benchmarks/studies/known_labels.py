"""What a few known labels bring, beside a supervised network on the same labels.

    python compare.py idec pace --grid known=0,0.01,0.02,0.05 --split train --split test --out checkpoints/known
    python -m benchmarks.studies.known_labels checkpoints/known/runs.jsonl --config pace

The supervised network is the method's own encoder with a linear layer, trained on the same draws of labels with the
method's augmentation, and scored on the same images: those whose labels were not drawn, and the test images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from jaxtyping import Int64, UInt8
from matplotlib.figure import Figure
from torch import Tensor, nn

from configs.schema import AugmentationSettings
from data.augmentation import Augmentation
from data.image_set import ImageSet
from data.known import draw_known
from data.prepare import prepare
from engine.processes import pick_device
from engine.randomness import BatchNoise, derive_seed, seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from methods.joint import JointConfig, build_backbone
from methods.resolve import resolve_config
from models.autoencoder import ImageShape
from models.batched import map_batches
from report.aggregate import over_seeds
from report.comparison.recorded import read_rows
from report.figures.style import STYLE, colour, new_figure
from report.rows import SD, Column, Row, value

SUPERVISED = "supervised"
SCORES = (Column("acc", "ACC", "up"), Column("nmi", "NMI", "up"), Column("ari", "ARI", "up"))
SPLITS = {"train": "training images whose labels were not given", "test": "test images"}


def main(
    file: Annotated[Path, typer.Argument(help="A runs.jsonl of compare.py --grid known=….")],
    config: Annotated[str, typer.Option(help="Whose encoder and augmentation: a method, or a config file.")] = "pace",
    steps: Annotated[int, typer.Option(help="Of the supervised training.")] = 2000,
    batch: Annotated[int, typer.Option(help="Images a step.")] = 128,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="A figure, as PNG.")] = None,
) -> None:
    """Train the supervised networks; print a Markdown table, and draw the figure."""
    rows = list(read_rows(file))
    data = str(value(rows[0], "data"))
    seeds = sorted({int(str(value(row, "seed"))) for row in rows})
    for share in sorted({share_of(row) for row in rows} - {0.0}):
        for seed in seeds:
            typer.echo(f"supervised, {share:.1%} of the labels, seed {seed} …", err=True)
            rows += supervised(config, data, share, seed, steps, batch, device)
    means = sorted(over_seeds(rows), key=lambda row: (title_of(row), share_of(row)))
    print("\n".join(table(means)))
    if out is not None:
        import matplotlib as mpl

        with mpl.rc_context(STYLE):
            figure(means).savefig(out)


def supervised(source: str, data: str, share: float, seed: int, steps: int, batch: int, device: str) -> list[Row]:
    """The rows of one supervised network: of the other training images, and of the test images."""
    file = Path(source) if source.endswith((".yaml", ".yml")) else None
    config = resolve_config(None if file else source, file, [], {"data.name": data, "seed": seed})
    assert isinstance(config, JointConfig)
    images, test = (prepare(config.data, split, seed) for split in ("train", "test"))
    known = draw_known(images, share, seed, len(images.class_names))
    assert images.labels is not None
    predict = Classifier(config, images, pick_device(device)).train(
        images.images[known.images], images.labels[known.images], steps, batch, seed
    )
    others = torch.ones(len(images), dtype=torch.bool)
    others[known.images] = False
    return [
        {
            "title": f"{SUPERVISED},known={share:g}",
            "data": data,
            "split": part.split,
            "seed": seed,
            **scores(predict, part),
        }
        for part in (images.subset(others.nonzero().flatten()), test)
    ]


class Classifier:
    """A method's encoder and a linear layer."""

    def __init__(self, config: JointConfig, images: ImageSet, device: torch.device) -> None:
        seed_all(config.seed)
        self.backbone = build_backbone(config, ImageShape(*images.images.shape[1:]))
        if config.pixels == "standardised":
            self.backbone.normalise.fit(images.images)
        self.layer = nn.Linear(self.backbone.latent, len(images.class_names))
        self.augmentation = Augmentation(getattr(config.pretrain, "augmentation", AugmentationSettings()))
        self.device = device
        self.network = nn.Sequential(self.backbone.encoder, self.layer).to(device)
        self.backbone.to(device)

    def train(
        self, images: UInt8[Tensor, "m c h w"], labels: Int64[Tensor, " m"], steps: int, batch: int, seed: int
    ) -> Classifier:
        """Cross-entropy on random batches, AdamW with a one-cycle rate up to 2e-3."""
        images, labels = images.to(self.device), labels.to(self.device)
        optimiser = torch.optim.AdamW(self.network.parameters(), weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps)
        generator = torch.Generator().manual_seed(derive_seed(seed, SUPERVISED))
        normalise = self.backbone.normalise
        self.network.train()
        for step in range(steps):
            rows = torch.randint(len(images), (batch,), generator=generator).to(self.device)
            noise = BatchNoise(derive_seed(seed, SUPERVISED, step), batch, slice(0, batch), self.device)
            pixels = self.augmentation(normalise.unit(images[rows]), noise)
            loss = nn.functional.cross_entropy(self.network(normalise.standardise(pixels)), labels[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        self.network.eval()
        return self

    def __call__(self, images: UInt8[Tensor, "n c h w"]) -> Int64[Tensor, " n"]:
        """The class of every image."""
        logits = map_batches(lambda part: self.network(self.backbone.normalise(part)), images, self.device)
        return logits.argmax(dim=1)


def scores(predict: Classifier, images: ImageSet) -> dict[str, float]:
    """Agreement with the classes. Accuracy is of the classes themselves, which a classifier knows by name."""
    assert images.labels is not None
    found = predict(images.images)
    agreed = agreement(contingency(images.labels, found))
    return {"n": len(images), **agreed, "acc": float((found == images.labels).double().mean())}


def title_of(row: Row) -> str:
    """The system: "pace" of "pace,known=0.01"."""
    return str(value(row, "title")).partition(",known=")[0]


def share_of(row: Row) -> float:
    """The share of labels that were known."""
    return float(str(value(row, "title")).partition(",known=")[2] or 0)


def table(means: Sequence[Row]) -> list[str]:
    """A row a system and share."""
    head = ["system", "known", *(f"{column.heading}, {split}" for split in SPLITS for column in SCORES), "seeds"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    for key in dict.fromkeys((title_of(row), share_of(row)) for row in means):
        own = {value(row, "split"): row for row in means if (title_of(row), share_of(row)) == key}
        cells = [column.show(own.get(split, {})) for split in SPLITS for column in SCORES]
        runs = next(iter(own.values()))
        lines.append(f"| {key[0]} | {key[1]:g} | " + " | ".join([*cells, str(value(runs, "runs"))]) + " |")
    return lines


def figure(means: Sequence[Row]) -> Figure:
    """Accuracy over the share of known labels, a line a system and a panel a split."""
    drawn = new_figure(2.6)
    axes = drawn.subplots(1, len(SPLITS), sharey=True)
    titles = list(dict.fromkeys(map(title_of, means)))
    for axis, (split, heading) in zip(axes, SPLITS.items(), strict=True):
        for number, title in enumerate(titles):
            own = [row for row in means if title_of(row) == title and value(row, "split") == split]
            heights = [float(value(row, "acc") or 0) for row in own]
            spread = [float(value(row, "acc" + SD) or 0) for row in own]
            axis.errorbar(
                [100 * share_of(row) for row in own],
                heights,
                spread,
                color=colour(number),
                marker="o",
                ms=3,
                label=title,
            )
        axis.set_title(heading)
        axis.set_xlabel("known labels, % of the training images")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("accuracy")
    axes[0].legend(frameon=False)
    return drawn


if __name__ == "__main__":
    typer.run(main)
