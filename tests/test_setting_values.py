"""Values of settings: read by their declared type alone, wherever they come from, and within limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

import train
from configs.load import ConfigError, read_yaml, validate
from configs.schema import RunConfig
from configs.values import LARGEST, alternatives, read
from estimators.kmeans import COARSE_STARTS
from methods.registry import METHODS
from methods.resolve import resolve_config
from models.settings import DenseSettings
from report.comparison.hyperparameters import setting_shown
from report.comparison.plan import parse_grid, plan
from tests.runs import Called, call

REFUSED = "refused"

# By YAML 1.1 most of these are something else: 8, 90, true, a date, 1000, none, a comment, a mapping.
READINGS = [
    ("raw-kmeans", "seed", "010", 10),
    ("raw-kmeans", "seed", "+7", 7),
    *(("raw-kmeans", "seed", text, REFUSED) for text in ("1:30", "on", "0x10", "0b1", "1_0", "1e1", "3.0", "١٠")),
    *(("raw-kmeans", "cluster.redos", text, REFUSED) for text in ("on", "yes", "true", "null", "~", "", "1:30")),
    *(
        ("raw-kmeans", "name", text, text)
        for text in ("no", "1e3", "2024-01-01", "1_000", "null", "~", "010", "#1: [x", "a # b", "1:30", "{a: 1}")
    ),
    ("raw-kmeans", "name", "'a b '", "a b "),
    ("raw-kmeans", "name", "'tis", "'tis"),
    ("raw-kmeans", "data.name", "[2024] holiday: rome", "[2024] holiday: rome"),
    ("raw-kmeans", "data.split", "on", REFUSED),
    ("dec", "cluster.tol", "1e-3", 0.001),
    ("dec", "cluster.tol", ".5", 0.5),
    ("dec", "cluster.tol", "1", 1.0),
    *(
        ("dec", "cluster.tol", text, REFUSED)
        for text in ("on", "0:30", "1_0e-3", "0,5", "nan", ".inf", "1e400", "null")
    ),
    ("dec", "model.batch_norm", "no", False),
    ("dec", "model.batch_norm", "True", True),
    *(("dec", "model.batch_norm", text, REFUSED) for text in ("1", "y", "null", "maybe")),
    ("raw-som", "cluster.rows", "null", None),
    ("raw-som", "cluster.rows", "", None),
    ("raw-som", "cluster.rows", "none", REFUSED),
    ("raw-dbscan", "cluster.radius", "~", None),
    ("umap-kmeans", "representation.umap.components", "010", 10),
    ("umap-kmeans", "representation.umap.components", "clusters", "clusters"),
    ("umap-kmeans", "representation.umap.components", "on", REFUSED),
]


def value_at(config: RunConfig, path: str) -> Any:
    found: Any = config
    for key in path.split("."):
        found = getattr(found, key)
    return found


def read_by(way: str, method: str, path: str, text: str, folder: Path) -> Any:
    """What the setting becomes by --set, by a config file and by --grid."""
    if way == "set":
        return value_at(resolve_config(method, None, [f"{path}={text}"], {}), path)
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump(resolve_config(method, None, [], {}).model_dump(mode="json", exclude_unset=True)))
    if way == "grid":
        (run,) = plan([str(file)], [0], [], parse_grid([f"{path}={text}"]), None)
        return value_at(run.config, path)
    sections = path.split(".")
    quoted = text if not set(text) & set("#:[{'") else "'" + text.replace("'", "''") + "'"
    lines = [f"{'  ' * depth}{key}:" for depth, key in enumerate(sections)]
    (folder / "over.yaml").write_text("base: own.yaml\n" + "\n".join(lines) + f" {quoted}\n")
    return value_at(resolve_config(None, folder / "over.yaml", [], {}), path)


@pytest.mark.parametrize("way", ["set", "file", "grid"])
def test_a_value_is_what_its_setting_declares(way: str, tmp_path: Path) -> None:
    wrong = {}
    for method, path, text, expected in READINGS:
        if way == "grid" and (path == "name" or text == "" or "," in text or path == "seed"):
            continue  # a grid separates by commas, and gives names and seeds itself
        if way == "file" and text.startswith("'"):
            continue  # quotes are YAML's own there
        try:
            found = read_by(way, method, path, text, tmp_path)
        except ConfigError as error:
            found = REFUSED if f"{path}: received" in str(error) else str(error)
        if (found, type(found)) != (expected, type(expected)):
            wrong[f"{path}={text}"] = found
    assert wrong == {}


def test_lists_and_sections_are_read_item_by_item() -> None:
    config = resolve_config("dec", None, ["model={name: dense, latent: 010, hidden: [020, 3]}"], {})
    assert value_at(config, "model") == DenseSettings(latent=10, hidden=(20, 3))
    scored = resolve_config("dec", None, ["report={row: 010, figures: {test: {nmi: 1e-1}}}"], {})
    assert scored.report is not None
    assert (scored.report.row, scored.report.figures) == ("010", {"test": {"nmi": 0.1}})


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.hidden=[500, on]", r"model\.hidden: received \['500', 'on'\]\. It takes a whole number in digits\.$"),
        ("model.hidden=500", r"model\.hidden: received '500'\. It takes a list such as \[500, 10\]\.$"),
        ("model=dense", r"model: received 'dense'\. It takes a section"),
        ("pretrain.augmentation=null", r"pretrain\.augmentation: received 'null'\. It takes a section"),
        ("model.layers=[{channels: on, kernel: 3}]", r"model\.layers\.0\.channels: received 'on'\. It takes a whole"),
        ("model.batch_norm=maybe", r"model\.batch_norm: received 'maybe'\. It takes true or false\.$"),
        ("report={row: 1, figures: {test: {nmi: on}}}", r"report\.figures: received .* It takes a number such as"),
        ("clusters=[3]", r"clusters: received '\[3\]'\. It takes a whole number in digits\.$"),
        ("clusters=1", r"clusters: received 1\. Input should be greater than or equal to 2\.$"),
        ("model={latent: 3, latent: 4}", r"the setting model: .* no valid YAML \('latent' stands here twice\)"),
        ("model={latent: !!int 010}", r"the setting model: .* no valid YAML"),
        ("model=" + "{a: " * 3000, r"the setting model: .* no valid YAML \(it is nested too deeply\)"),
        ("name='a\0b'", r"name: received .* cannot hold the character 0"),
        (".seed=3", r"section\.key=value; received '\.seed=3'"),
        ("data..name=3", r"section\.key=value"),
    ],
)
def test_errors_name_the_key_what_was_received_and_what_is_allowed(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_config("dec", None, [assignment], {})


def test_all_wrong_values_of_a_section_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        resolve_config("dec", None, ["cluster.tol=on", "cluster.alpha=-1", "cluster.gama=1"], {})
    for part in ("cluster.tol: received 'on'", "cluster.alpha: received -1.0", "cluster.gama: no such setting"):
        assert part in str(error.value)


def test_a_program_is_held_to_the_types_too() -> None:
    for wrong in (True, 3.0, [3]):
        with pytest.raises(ValueError, match="seed"):
            RunConfig.model_validate({"method": "dec", "seed": wrong})
    assert read(10**12, float) == 10**12  # a figure of a report has no limit


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("method: dec\nseed: 1\nseed: 2", "'seed' stands here twice"),
        ("method: dec\nseed: !!int 010", "tag:yaml.org,2002:int"),
        ("? [a]\n: 1", "a key must be a name"),
        ("a: " + "{a: " * 3000, "nested too deeply"),
    ],
)
def test_a_config_file_that_says_two_things_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_yaml(tmp_path / "x.yaml")


def test_anchors_and_merges_stay(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &a {x: 010, y: on}\nb: {<<: *a, y: no}")
    assert read_yaml(tmp_path / "x.yaml") == {"a": {"x": "010", "y": "on"}, "b": {"x": "010", "y": "no"}}


def test_a_base_of_null_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("base: null\nmethod: dec")
    assert resolve_config(None, tmp_path / "x.yaml", [], {}).method == "dec"


def whole_numbers(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting that can be a whole number: its path, and what must stand beside it for its section to be known.

    A section that can be of several kinds is entered once for each.
    """
    kind = {
        name: field.default
        for name, field in model.model_fields.items()
        if get_origin(field.annotation) is Literal and get_args(field.annotation) == (field.default,)
    }
    for name, field in model.model_fields.items():
        for allowed in alternatives(field.annotation):
            here = f"{path}.{name}".removeprefix(".")
            items = get_args(allowed)[:1] if get_origin(allowed) is tuple else ()
            if allowed is int or any(int in alternatives(item) for item in items):
                yield here, {name: "{}" if allowed is int else ["{}"], **kind}
            for section in (allowed, *(inner for item in items for inner in alternatives(item))):
                if isinstance(section, type) and issubclass(section, BaseModel):
                    for below, content in whole_numbers(section, f"{here}.0" if items else here):
                        yield below, {name: [content] if items else content, **kind}


def filled(content: Any, number: int) -> Any:
    if isinstance(content, dict):
        return {key: filled(value, number) for key, value in content.items()}
    if isinstance(content, list):
        return [filled(value, number) for value in content]
    return number if content == "{}" else content


def test_every_whole_number_of_every_method_has_an_upper_limit() -> None:
    schemas = {entry.config for entry in METHODS.values()}
    settings = [(schema, path, content) for schema in schemas for path, content in whole_numbers(schema)]
    paths = {path for _, path, _ in settings}
    assert {"seed", "data.subset", "cluster.redos", "model.hidden", "model.layers.0.kernel"} <= paths
    assert "representation.autoencoder.pretrain.greedy.epochs" in paths
    unlimited = []
    for schema, path, content in settings:
        for number in (LARGEST + 1, 10**11):
            with pytest.raises(ConfigError) as error:
                validate(schema, filled(content, number), "test")
            lines = [line for line in str(error.value).splitlines() if line.startswith(f"  {path}")]
            if not any(str(LARGEST) in line or "less than" in line for line in lines):
                unlimited.append(f"{schema.__name__}: {path}={number}")
    assert unlimited == []


def test_starts_of_kmeans_stay_within_what_faiss_counts() -> None:
    with pytest.raises(ConfigError, match=r"cluster\.redos: received 100000000000\.|cluster\.redos: received '1000"):
        resolve_config("raw-kmeans", None, ["cluster.redos=100000000000"], {})
    largest = 100_000
    assert value_at(resolve_config("raw-kmeans", None, [f"cluster.redos={largest}"], {}), "cluster.redos") == largest
    with pytest.raises(ConfigError, match=r"less than or equal to 100000"):
        resolve_config("raw-kmeans", None, [f"cluster.redos={largest + 1}"], {})
    assert largest * COARSE_STARTS < 2**31


def test_what_finds_its_own_clusters_needs_no_image_a_cluster() -> None:
    names = [name for name in METHODS if name.startswith("raw-") or name.count("-") < 2]
    needed = {name: resolve_config(name, None, [], {"clusters": 7}).different_images_needed for name in names}
    own = {name for name, count in needed.items() if count == 1}
    assert own == {"deepdpm", "dipdeck", *(name for name in names if name.endswith(("-dbscan", "-hdbscan")))}
    assert {count for name, count in needed.items() if name not in own} == {7}


@pytest.mark.parametrize(
    ("path", "text", "logged"),
    [
        ("cluster.redos", "010", 10.0),
        ("cluster.tol", "1e-3", 0.001),
        ("model.batch_norm", "no", False),
        ("name", "on", "on"),
        ("data.name", "1:30", "1:30"),
    ],
)
def test_a_grids_page_shows_what_the_runs_had(path: str, text: str, logged: object) -> None:
    method = "raw-kmeans" if path == "cluster.redos" else "dec"
    assert setting_shown(resolve_config(method, None, [f"{path}={text}"], {}), path) == logged


def test_a_run_of_few_images_is_refused_only_where_it_needs_more(tmp_path: Path) -> None:
    images = np.repeat(np.array([0, 0, 0, 0, 9, 9, 9, 9], dtype=np.uint8), 16).reshape(8, 4, 4)
    np.savez(tmp_path / "eight.npz", images=images)

    def run(method: str, *arguments: str) -> Called:
        out = str(tmp_path / method)
        return call(
            train.app, "--method", method, "--data", str(tmp_path / "eight.npz"), "--out", out, "--no-share", *arguments
        )

    found = run("raw-dbscan", "--set", "cluster.points=2")
    assert (found.exit_code, found.stdout.strip()) == (0, str(tmp_path / "raw-dbscan" / "checkpoint.pt"))
    refused = run("raw-kmeans", "--clusters", "10")
    assert refused.exit_code == 2
    assert "10 clusters for 8 images, of which 2 differ" in refused.stderr
