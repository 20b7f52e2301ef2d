"""Speed and reconstruction of autoencoder designs: which one should be the default?

    python -m benchmarks.networks --epochs 5

For every design: images/s of a whole training step (forward, backward, Adam), and the reconstruction error on the
held-out images after the same number of epochs. No labels. The table is Markdown on stdout.
"""

from __future__ import annotations

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
from methods.base import Batch
from methods.pretraining import ReconstructionObjective
from models.autoencoder import Autoencoder, ImageShape
from models.batched import map_batches
from models.build import build_autoencoder
from models.normalise import Normalise
from models.settings import AutoencoderSettings, ConvLayer, ConvSettings, DenseSettings

BATCH = 256
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
    epochs: Annotated[int, typer.Option(help="Epochs for every design.")] = 5,
    seed: int = 0,
) -> None:
    """Train every design and print the table."""
    train, test = load(data, "train"), load(data, "test")
    print(f"{data}, batch {BATCH}, {torch.get_num_threads()} threads, torch {torch.__version__}, {epochs} epochs\n")
    print("| network (kernel-channels, stride 2) | parameters | images/s | epoch s | held-out MSE |")
    print("|---|--:|--:|--:|--:|")
    for name, settings in DESIGNS.items():
        seed_all(seed)
        shape = ImageShape(*train.images.shape[1:])
        autoencoder = build_autoencoder(settings, shape)
        normalise = Normalise(shape.channels)
        normalise.fit(train.images)
        seconds = pretrain(autoencoder, normalise, train, epochs, seed)
        size = sum(p.numel() for p in autoencoder.parameters())
        speed = epochs * (len(train) // BATCH) * BATCH / seconds
        error = held_out_error(autoencoder, normalise, test)
        print(f"| {name} | {size:,} | {speed:,.0f} | {seconds / epochs:.1f} | {error:.4f} |", flush=True)


def pretrain(autoencoder: Autoencoder, normalise: Normalise, train: ImageSet, epochs: int, seed: int) -> float:
    """Seconds that the epochs took."""
    optimiser_settings = OptimiserSettings(learning_rate=2e-3, schedule="one-cycle")
    objective = ReconstructionObjective(normalise, autoencoder, PretrainSettings())
    optimiser = build_optimiser(objective.parameters(), optimiser_settings)
    steps = len(train) // BATCH
    begin = time.perf_counter()
    for epoch in range(epochs):
        order = epoch_order(len(train), seed, epoch)
        for batch in range(steps):
            step = epoch * steps + batch
            set_learning_rate(optimiser, learning_rate(optimiser_settings, step, epochs * steps))
            index = order[batch * BATCH : (batch + 1) * BATCH]
            noise = BatchNoise(derive_seed(seed, step), BATCH, slice(0, BATCH), CPU)
            optimiser.zero_grad()
            objective(Batch(train.images[index], index, noise))["loss"].backward()
            optimiser.step()
    return time.perf_counter() - begin


def held_out_error(autoencoder: Autoencoder, normalise: Normalise, test: ImageSet) -> float:
    """Mean squared error on normalised pixels."""
    decoded = map_batches(lambda images: autoencoder.decode(autoencoder.encode(normalise(images))), test.images, CPU)
    return float(reconstruction_mse(decoded, normalise(test.images)))


if __name__ == "__main__":
    typer.run(main)
