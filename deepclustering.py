"""Deep clustering from Python: images in, clusters out, as an estimator of scikit-learn's kind.

from deepclustering import DeepClustering, load

model = DeepClustering("dec", n_clusters=10).fit(images)
model.labels_, model.predict(new)
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGES = tuple(sorted(file.parent.name for file in HERE.glob("*/__init__.py") if file.parent.name != "benchmarks"))


def _import_packages() -> None:
    """Make this project's packages known to Python, and leave the search path as it was.

    Raises:
        ImportError: another package of the same name, such as `data`, has been imported before.
    """
    for name in PACKAGES:
        known = sys.modules.get(name)
        file = getattr(known, "__file__", None)
        if known is not None and (file is None or Path(file).resolve().parent.parent != HERE):
            raise ImportError(
                f"deepclustering has a package called {name!r}, and another one of that name is imported already, "
                f"from {file or 'a folder'}. Import deepclustering first, or rename the other."
            )
    sys.path.insert(0, str(HERE))
    try:
        for name in PACKAGES:
            import_module(name)
    finally:
        sys.path.remove(str(HERE))


_import_packages()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin  # noqa: E402
from sklearn.utils.metaestimators import available_if  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

from configs.load import ConfigError  # noqa: E402
from configs.schema import RunConfig  # noqa: E402
from data.arrays import LAYOUTS, as_images, as_tensor, labelled  # noqa: E402
from data.image_set import DataError, ImageSet  # noqa: E402
from data.known import Known, known_labels, labels_by_position  # noqa: E402
from data.known_file import known_of  # noqa: E402
from data.prepare import prepare  # noqa: E402
from engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from engine.errors import CheckpointError, Interrupted  # noqa: E402
from engine.fit import fit  # noqa: E402
from engine.progress import Display  # noqa: E402
from engine.randomness import generator_states, restore_generators  # noqa: E402
from engine.restore import restore  # noqa: E402
from evaluation.predictions import predict  # noqa: E402
from methods.base import Assignments, Method  # noqa: E402
from methods.points import config_for_points  # noqa: E402
from methods.registry import check_known  # noqa: E402
from methods.resolve import resolve_config  # noqa: E402
from report.refusals import refused_as_value_error  # noqa: E402
from report.score_table import ScoreTable, count_seen, score_row, without_known  # noqa: E402

FORM = f"Images are {LAYOUTS}, or a table with image_shape. Tables of other numbers: points=True."

PARAMETERS = {"clusters": "n_clusters", "known": "known", "seed": "seed", "runtime.device": "device", "data.name": "X"}
"""Settings that are not given among the others, and what gives them."""


def _has_probabilities(model: Any) -> bool:
    # Of a point and not of an image: features from a file know no images but their own.
    z = torch.zeros(1, model.method_.dimensions) if hasattr(model, "method_") else None
    return z is None or model.method_.assign_embedded(z).probabilities is not None


class DeepClustering(ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster images by any method of this project.

    Args:
        method: what `train.py --method` takes, such as "dec" or "umap-kmeans"; or the path of a YAML config.
        n_clusters: k; methods that find their number ignore it.
        seed: of all randomness. The same seed gives the same clusters.
        settings: by dotted path, as after `train.py --set`: {"pretrain.epochs": 5}.
        image_shape: of a row, where images are given as a table: (h, w), (h, w, c) or (c, h, w). None: a row is an
            image of one line.
        value_range: what floats stand for black and white. None: the lowest and the highest value of the training
            images; what lies beyond them in others is cut off.
        points: tables are points of a space, (n, d), such as features of a network, and no pixels.
        known: labels of some training images, which dec, its family and pace learn from: {position: label}, a list
            with None or an array with -1 where nothing is known, a CSV file or, where X is a set with labels, a share
            of it to draw. Scores leave these images out.
        device: auto, cpu, cuda or mps.
        verbose: show progress, on a terminal or in a notebook.

    Attributes:
        labels_: (n,), the cluster of every training image.
        probabilities_: (n, k), rows sum to 1; None where the method has none, and after `load`.
        n_features_in_: pixels of an image, over all channels.
        history_: one row an epoch or fit: phase, losses, times.
    """

    def __init__(
        self,
        method: str = "dec",
        n_clusters: int = 10,
        *,
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = (0.0, 1.0),
        points: bool = False,
        known: Mapping[int, Any] | Sequence[Any] | np.ndarray | str | Path | float | None = None,
        device: str = "auto",
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.n_clusters = n_clusters
        self.seed = seed
        self.settings = settings
        self.image_shape = image_shape
        self.value_range = value_range
        self.points = points
        self.known = known
        self.device = device
        self.verbose = verbose

    @refused_as_value_error()
    def fit(self, X: Any, y: object = None) -> DeepClustering:
        """Train on images. `y` is not looked at: labels to learn from are the parameter `known`.

        Args:
            X: images, NumPy or torch: uint8 or floats, (n, h, w), (n, h, w, c) or (n, c, h, w); a table (n, pixels);
                or a data set's name or path, as `train.py --data` takes it.
            y: for pipelines.

        Raises:
            ValueError: images, settings or a number of clusters that cannot be.
            TrainingError: a loss became NaN or infinite.
            KeyboardInterrupt: stopped by Ctrl-C.
        """
        before = generator_states()
        try:
            config = self._config(X)
            images = self._image_set(X, config, reset=True)
            if images.are_points:
                config, _ = config_for_points(config, self._assignments(X))
            notes: list[str] = []
            known = self._knowledge(config, images, notes.append)
            fitted = fit(config, images, known=known, notes=notes, display=Display(quiet=not self.verbose))
        except Interrupted as error:
            raise KeyboardInterrupt from error
        finally:
            restore_generators(before)
        self._take(config, fitted.method, fitted.checkpoint)
        self.probabilities_ = _numpy(fitted.assignments.probabilities)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of every image, (n,), int64, 0 to k - 1."""
        labels: np.ndarray = self._assign(X).labels.numpy()
        return labels

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """How much every image belongs to every cluster, (n, k), rows sum to 1. Methods without it lack this call."""
        found = _numpy(self._assign(X).probabilities)
        assert found is not None
        return found

    @refused_as_value_error()
    def transform(self, X: Any) -> np.ndarray:
        """The space in which the method clusters, (n, d), float32."""
        images = self._new(X).images
        z: np.ndarray = self.method_.embed(images).numpy()
        return z

    @refused_as_value_error()
    def score_table(self, X: Any, labels: Any = None) -> ScoreTable:
        """The table of `eval.py`: print it, or take a value by its name, such as `["nmi"]`.

        Images whose labels the fit was told (`known`) are left out.

        Values that compare with classes are None without labels. Labels change nothing in the model.

        Args:
            X: images, or a data set's name or path, whose own labels count where `labels` are None.
            labels: (n,), the class of every image, of any kind.

        Raises:
            ValueError: images or labels that cannot be, or the fit was told the labels of all.
        """
        images = self._new(X)
        if not isinstance(X, str | Path) and count_seen(self.checkpoint_, images) < len(images):
            images = replace(images, split="new")
        images = without_known(self.checkpoint_, images if labels is None else labelled(images, labels))
        predictions = predict(self.method_, images, encoder=self.checkpoint_.pretrained)
        return ScoreTable(score_row(self.checkpoint_, self.config_, self.method_, predictions))

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, which `load` and `eval.py` read."""
        check_is_fitted(self)
        write_checkpoint(Path(path), self.checkpoint_)

    @property
    def _n_features_out(self) -> int:
        """d, for the names of what `transform` gives."""
        return self.method_.dimensions

    @refused_as_value_error()
    def _assign(self, X: Any) -> Assignments:
        images = self._new(X).images
        return self.method_.assign(images)

    def _config(self, X: Any) -> RunConfig:
        """The run's config, from the method's defaults, the settings, and what has a parameter of its own."""
        for path in self.settings or {}:
            if path in PARAMETERS:
                raise ConfigError(f"the setting {path} has a parameter of its own, {PARAMETERS[path]}: give it there.")
            if path.partition(".")[0] == "data" and not isinstance(X, str | Path):
                raise ConfigError(f"the setting {path} is for data by name or path: of an array, give a part.")
        # What is known by position reaches `fit` as it is; the config names files and shares alone.
        known = str(self.known) if isinstance(self.known, Path) else self.known
        flags = {"clusters": self.n_clusters, "seed": self.seed, "runtime.device": self.device}
        flags["known"] = known if isinstance(known, str | float | int) else None
        file = Path(self.method) if str(self.method).endswith((".yaml", ".yml")) else None
        config = resolve_config(None if file else self.method, file, self._assignments(X), flags)
        if config.runtime.devices * config.runtime.nodes > 1:
            raise ConfigError("several processes are started by the command: train.py --devices.")
        return config

    def _assignments(self, X: Any) -> list[str]:
        """The settings as `--set` takes them."""
        name = str(X) if isinstance(X, str | Path) else "points" if self.points else "images"
        kind = {"data.kind": "points"} if self.points else {}
        settings = {"data.name": name, **kind, **(self.settings or {})}
        return [f"{path}={_as_text(value)}" for path, value in settings.items()]

    def _knowledge(self, config: RunConfig, images: ImageSet, tell: Callable[[str], None]) -> Known | None:
        """What `known` says of the training images; `tell` hears what a table must say besides."""
        if not isinstance(self.known, str | Path | float | int | None):
            check_known(config.method)
            labels = labels_by_position(self.known, len(images))
            return known_labels(labels, len(images), config.clusters, "known")
        return known_of(config, images, tell)

    def _image_set(self, X: Any, config: RunConfig, reset: bool) -> ImageSet:
        if isinstance(X, str | Path):
            split = config.data.split if reset else "train"
            return prepare(config.data.model_copy(update={"name": str(X)}), split, config.seed)
        if self.points:
            values = validate_data(self, _plain(X), reset=reset, dtype=np.float32)
            return ImageSet("points", "train", as_tensor(values[:, :, None, None]))
        return ImageSet("images", "train", as_tensor(self._pixels(X, reset)))

    def _pixels(self, X: Any, reset: bool) -> np.ndarray:
        """Arrays as uint8, (n, c, h, w)."""
        array = _plain(X)
        if getattr(array, "ndim", None) is None:
            array = np.asarray(array)
        if array.ndim <= 2:
            array = validate_data(self, array, reset=reset)
            shape = tuple(self.image_shape or (1, array.shape[1]))
            if math.prod(shape) != array.shape[1]:
                raise DataError(f"a row of the table has {array.shape[1]} pixels, and image_shape is {shape}.")
            array = array.reshape(len(array), *shape)
        else:
            array = np.asarray(array)
            validate_data(self, array.reshape(len(array), -1), reset=reset)
        return as_images(self._in_range(array, reset), "the images", FORM)

    def _in_range(self, array: np.ndarray, reset: bool) -> np.ndarray:
        """Floats from 0 to 1, or uint8 as it is."""
        if array.dtype == np.uint8:
            return array
        if self.value_range is not None:
            if array.dtype.kind != "f":
                return array  # refused where images are read
            low, high = self.value_range
            return (array.astype(np.float64) - low) / (high - low)
        if reset:
            self.value_range_ = float(array.min()), float(array.max())
        low, high = self.value_range_
        return np.clip((array.astype(np.float64) - low) / (high - low if high > low else 1.0), 0, 1)

    @refused_as_value_error()
    def _new(self, X: Any) -> ImageSet:
        """Images to answer for, of the shape that the method was fitted to."""
        check_is_fitted(self)
        images = self._image_set(X, self.config_, reset=False)
        if tuple(images.images.shape[1:]) != self.shape_:
            raise ValueError(
                f"the images have the shape {tuple(images.images.shape[1:])} (channels, height, width); the model was "
                f"fitted to {self.shape_}."
            )
        return images

    def _take(self, config: RunConfig, method: Method, checkpoint: Checkpoint) -> None:
        method.to(torch.device("cpu"))
        method.eval()
        self.config_, self.method_, self.checkpoint_ = config, method, checkpoint
        self.shape_ = tuple(checkpoint.data["shape"])
        self.n_features_in_ = math.prod(self.shape_)
        self.history_ = checkpoint.loop.history
        if checkpoint.assignments is not None:
            self.labels_: np.ndarray = checkpoint.assignments.numpy()


def load(path: str | Path) -> DeepClustering:
    """A model that `DeepClustering.save` or `train.py` wrote.

    Raises:
        CheckpointError: there is none, it is damaged, or its run was not finished.
    """
    checkpoint = read_checkpoint(Path(path))
    if not checkpoint.loop.done:
        raise CheckpointError(f"{path} holds a run that is not finished; train.py --resume goes on with it.")
    config, method = restore(checkpoint, str(path))
    points = bool(checkpoint.data.get("points", False))
    image_shape = None if points else tuple(checkpoint.data["shape"])
    model = DeepClustering(config.method, config.clusters, seed=config.seed, image_shape=image_shape, points=points)
    model._take(config, method, checkpoint)
    model.probabilities_ = None
    return model


def _plain(X: Any) -> Any:
    return X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else X


def _as_text(value: Any) -> str:
    """A setting's value as `--set` takes it."""
    return value if isinstance(value, str) else json.dumps(value)  # which is YAML


def _numpy(probabilities: torch.Tensor | None) -> np.ndarray | None:
    return None if probabilities is None else probabilities.numpy()
