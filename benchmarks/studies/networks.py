"""Speed and reconstruction of autoencoder designs: which one should be the default?

    python -m benchmarks.studies.networks --epochs 3

For every design: images/s of a whole training step (forward, backward, Adam), measured in turns, and the
reconstruction error on the held-out images after the same number of epochs. No labels. The table is Markdown on
stdout.
"""

from __future__ import annotations

import copy
import statistics
import time
from typing import Annotated

import torch
import typer

from configs.schema import OptimiserSettings, PretrainSettings
from data.image_set import ImageSet
from data.sources import load
from engine.optimisers import build_optimiser, learning_rate, set_learning_rate
from engine.randomness import BatchNoise, derive_seed, epoch_order, seed_all
from losses.reconstruction import reconstruction_mse
from models.autoencoder import Autoencoder, ImageShape
from models.batched import map_batches
from models.build import build_autoencoder
from models.normalise import Normalise
from models.settings import AutoencoderSettings, ConvLayer, ConvSettings, DenseSettings
from parts.phases import Batch
from parts.pretraining import ReconstructionObjective

BATCH, ROUNDS, STEPS = 256, 15, 8
CPU = torch.device("cpu")


def conv(*layers: tuple[int, int], hidden: tuple[int, ...] = (), last_padding: int | None = None) -> ConvSettings:
    """Layers as (kernel, channels), stride 2."""
    made = [ConvLayer(kernel=kernel, channels=channels) for kernel, channels in layers]
    made[-1] = made[-1].model_copy(update={"padding": last_padding})
    return ConvSettings(layers=tuple(made), hidden=hidden)


DESIGNS: dict[str, AutoencoderSettings] = {
    "conv 5-32, 5-64, 3-128 (DCEC)": conv((5, 32), (5, 64), (3, 128), last_padding=0),
    "conv 4-32, 4-64, 3-128": conv((4, 32), (4, 64), (3, 128)),
    "conv 4-32, 4-64, 3-128, dense 256": conv((4, 32), (4, 64), (3, 128), hidden=(256,)),
    "conv 4-16, 4-32, 3-64": conv((4, 16), (4, 32), (3, 64)),
    "conv 4-16, 4-32, 3-64, dense 256": conv((4, 16), (4, 32), (3, 64), hidden=(256,)),
    "conv 4-16, 4-32, dense 256": conv((4, 16), (4, 32), hidden=(256,)),
    "conv 2-16, 2-32, dense 512": conv((2, 16), (2, 32), hidden=(512,)),
    "dense 500-500-2000 (DEC)": DenseSettings(),
    "dense 1024-512-256": DenseSettings(hidden=(1024, 512, 256)),
}


def main(
    data: Annotated[str, typer.Option(help="A data set's name.")] = "fashion-mnist",
    epochs: Annotated[int, typer.Option(help="Epochs for every design.")] = 3,
    seed: int = 0,
) -> None:
    """Time all designs in turns, then train each, and print the table."""
    train, test = load(data, "train"), load(data, "test")
    shape = ImageShape(*train.images.shape[1:])
    normalise = Normalise(shape.channels)
    normalise.fit(train.images)
    trainers = {}
    for name, settings in DESIGNS.items():
        seed_all(seed)
        trainers[name] = Trainer(build_autoencoder(settings, shape), normalise, train, epochs, seed)
    speeds = time_in_turns(trainers)
    print(f"{data}, batch {BATCH}, {torch.get_num_threads()} threads, torch {torch.__version__}, {epochs} epochs\n")
    print("| network (kernel-channels, stride 2) | parameters | images/s | times the first | held-out MSE |")
    print("|---|--:|--:|--:|--:|")
    slowest = next(iter(speeds.values()))
    for name, trainer in trainers.items():
        for step in range(trainer.epochs * trainer.steps_per_epoch):
            trainer.step(step)
        size = sum(p.numel() for p in trainer.autoencoder.parameters())
        error = held_out_error(trainer.autoencoder, normalise, test)
        speed = speeds[name]
        print(f"| {name} | {size:,} | {speed:,.0f} | {speed / slowest:.2f} | {error:.4f} |", flush=True)


class Trainer:
    """Pretraining of one design, step by step, as `train.py` does it."""

    def __init__(self, autoencoder: Autoencoder, normalise: Normalise, train: ImageSet, epochs: int, seed: int) -> None:
        self.autoencoder = autoencoder
        self.settings = OptimiserSettings(learning_rate=2e-3, schedule="one-cycle")
        self.objective = ReconstructionObjective(normalise, autoencoder, PretrainSettings())
        self.optimiser = build_optimiser(self.objective, self.settings)
        self.train, self.seed = train, seed
        self.steps_per_epoch = len(train) // BATCH
        self.epochs = epochs

    def step(self, step: int) -> None:
        """Step number `step` of the training."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if batch == 0:
            self.order = epoch_order(len(self.train), self.seed, epoch)
        set_learning_rate(self.optimiser, learning_rate(self.settings, step, self.steps_per_epoch, self.epochs))
        index = self.order[batch * BATCH : (batch + 1) * BATCH]
        noise = BatchNoise(derive_seed(self.seed, step), BATCH, slice(0, BATCH), CPU)
        self.optimiser.zero_grad()
        self.objective(Batch(self.train.images[index], index, noise))["loss"].backward()
        self.optimiser.step()


def time_in_turns(trainers: dict[str, Trainer]) -> dict[str, float]:
    """Images/s of every design, the median over rounds in which all take turns: a machine's moods fall on all.

    It runs on copies: what is trained afterwards begins at the beginning.
    """
    copies = {name: copy.deepcopy(trainer) for name, trainer in trainers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in range(ROUNDS):
        for name, trainer in copies.items():
            begin = time.perf_counter()
            for step in range(turn * STEPS, (turn + 1) * STEPS):
                trainer.step(step)
            seconds[name].append((time.perf_counter() - begin) / STEPS)
    return {name: BATCH / statistics.median(values) for name, values in seconds.items()}


def held_out_error(autoencoder: Autoencoder, normalise: Normalise, test: ImageSet) -> float:
    """Mean squared error on normalised pixels."""
    decoded = map_batches(lambda images: autoencoder.decode(autoencoder.encode(normalise(images))), test.images, CPU)
    return float(reconstruction_mse(decoded, normalise(test.images)))


if __name__ == "__main__":
    typer.run(main)
