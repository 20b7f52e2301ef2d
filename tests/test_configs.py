"""Configs: every shipped file is valid, every wrong key is named, and differences are found."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from configs.load import (
    FOLDER,
    ConfigError,
    differences,
    read_config,
    read_yaml,
    set_values,
    to_yaml,
    validate,
)
from estimators import build
from methods import registry, two_stage
from methods.dec import DECConfig
from methods.registry import METHODS
from methods.resolve import resolve_config
from methods.scan import SCANConfig
from models.settings import DenseSettings, ViTSettings
from parts.vae_pretraining import VAEPretrainSettings

FILES = sorted(FOLDER.rglob("*.yaml"))
PARTS = sorted((FOLDER / "two-stage").glob("*.yaml"))


def test_shipped_configs_are_valid_and_say_their_method() -> None:
    wrong = {}
    for file in (file for file in FILES if file not in PARTS):
        try:
            raw = read_config(file)
            if validate(METHODS[raw["method"]].config, raw, str(file)).method != raw["method"]:
                wrong[file.name] = "its method is not the one that it names"
        except (ConfigError, KeyError) as error:
            wrong[file.name] = repr(error)
    assert wrong == {}


def test_headers_say_command_time_and_what_to_expect() -> None:
    missing = {}
    for file in FILES:
        header = file.read_text().split("\n\n")[0].split("method:")[0]
        asked = ["python train.py", "Expect", *([] if file.parent.name == "paper" else ["Time"])]
        if unsaid := [word for word in asked if word not in header]:
            missing[file.name] = unsaid
    assert missing == {}


def without_source(file: Path) -> list[str]:
    """The lines with a value that has no comment: on its line or on the line above; for a list's items, at its name."""
    bare, said = [], False
    for line in file.read_text().splitlines():
        content, mark, _ = line.partition("#")
        name, _, value = content.strip().partition(":")
        if name.startswith("- "):
            bare += [] if said else [line]
        elif value.strip():
            exempt = name == "min_steps" or content.startswith(("method:", "name:"))
            bare += [] if mark or said or exempt else [line]
            said = False
        else:  # a comment, a section, a list, or nothing
            said = bool(mark)
    return bare


def test_every_value_of_a_published_recipe_has_its_source_beside_it() -> None:
    files = [file for file in FILES if file.parent.name == "paper"]
    assert files
    assert {file.name: bare for file in files if (bare := without_source(file))} == {}


def test_reports_name_their_row_and_keep_to_their_own_name() -> None:
    wrong = {}
    for file in (file for file in FILES if file.parent.name == "reports"):
        config = resolve_config(None, file, [], {})
        said = {
            "title": config.title == file.stem,
            "row": config.report is not None and config.report.row[0] == file.stem[0].upper(),
            "command": f"--config configs/reports/{file.name}" in file.read_text(),
        }
        if not all(said.values()):
            wrong[file.name] = said
    assert wrong == {}


def test_all_systems_of_the_reports_are_there() -> None:
    files = [file.stem[0] for file in (FOLDER / "reports").glob("*.yaml")]
    assert {report: files.count(report) for report in "abcde"} == {"a": 13, "b": 1, "c": 2, "d": 4, "e": 3}


def test_every_method_has_a_default_config() -> None:
    wrong = {}
    for name in METHODS:
        try:
            if (method := resolve_config(name, None, [], {}).method) != name:
                wrong[name] = method
        except ConfigError as error:
            wrong[name] = str(error)
    assert wrong == {}


def test_a_method_that_its_parts_do_not_make_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"is called 'raw-kmeans'.*make it 'pca-kmeans'"):
        resolve_config("raw-kmeans", None, ["representation.pca={components: 2}"], {})


def test_the_default_config_is_the_schemas_own() -> None:
    """A config of one's own that leaves a setting out gets the same value as --method."""
    raw = read_yaml(FOLDER / "dec.yaml")
    assert validate(DECConfig, raw, "dec.yaml") == DECConfig()


def test_exponents_are_numbers_although_yaml_says_strings() -> None:
    assert yaml.safe_load("1e-3") == "1e-3"
    config = validate(DECConfig, {"pretrain": {"optimiser": {"learning_rate": "1e-3"}}}, "test")
    assert config.pretrain.optimiser.learning_rate == 1e-3


def test_resolved_config_reads_back_the_same() -> None:
    config = DECConfig(seed=3)
    assert validate(DECConfig, yaml.safe_load(to_yaml(config)), "test") == config


def test_a_typo_is_refused_with_the_right_name() -> None:
    with pytest.raises(ConfigError) as error:
        validate(DECConfig, {"pretrain": {"epoch": 3}, "cluster": {"tol": "much"}}, "x.yaml")
    message = str(error.value)
    assert "x.yaml" in message
    assert "pretrain.epoch: no such setting. Did you mean epochs?" in message
    assert "cluster.tol: received 'much'" in message


def test_a_typo_within_the_network_names_that_networks_settings() -> None:
    with pytest.raises(ConfigError, match=r"model\.latnt: no such setting\. Did you mean latent\?.*batch_norm, "):
        validate(DECConfig, {"model": {"name": "conv", "latnt": 3}}, "x.yaml")
    with pytest.raises(ConfigError, match=r"model\.layers\.0\.kernl: no such setting\. Did you mean kernel\?"):
        validate(DECConfig, {"model": {"layers": [{"channels": 3, "kernl": 3}], "name": "conv"}}, "x.yaml")


def test_a_typo_within_the_pretraining_names_that_pretrainings_settings() -> None:
    with pytest.raises(ConfigError, match=r"pretrain\.bta: no such setting\. Did you mean beta\?"):
        validate(DECConfig, {"pixels": "unit", "pretrain": {"objective": "elbo", "bta": 3}}, "x.yaml")
    with pytest.raises(ConfigError, match=r"pretrain\.beta: no such setting\. .*noise, ") as error:
        validate(DECConfig, {"pretrain": {"beta": 3}}, "x.yaml")
    assert "warmup" not in str(error.value)


def test_set_reaches_into_sections_and_makes_them() -> None:
    raw: dict[str, object] = {"pretrain": {"epochs": 1}}
    set_values(raw, ["pretrain.epochs=20", "cluster.optimiser.learning_rate=1e-4", "data.name=digits"], DECConfig)
    assert raw == {
        "pretrain": {"epochs": "20"},
        "cluster": {"optimiser": {"learning_rate": "1e-4"}},
        "data": {"name": "digits"},
    }


def test_a_section_of_another_kind_keeps_the_latent_of_the_first_alone() -> None:
    shorter = ["model.latent=5", "model.name=dense", "pretrain.optimiser.name=sgd"]
    config = resolve_config("dec", None, shorter, {})
    assert isinstance(config, DECConfig)
    assert config.model == DenseSettings(latent=5)  # not the hidden layers that stand behind DEC's convolutions
    assert config.pretrain.optimiser.learning_rate == 2e-3  # its name is no other kind of section
    feature = resolve_config("scan", None, ["model.name=vit"], {})
    assert isinstance(feature, SCANConfig)
    assert feature.model == ViTSettings(latent=256)  # as large as the feature of SCAN's own network
    as_vae = resolve_config("dec", None, ["pretrain.objective=elbo", "pixels=unit"], {})
    assert isinstance(as_vae, DECConfig)
    assert as_vae.pretrain == VAEPretrainSettings()  # DEC's own pretraining does not say of which kind it is
    same = resolve_config("dec", None, ["model.name=conv", "pretrain.objective=reconstruction"], {})
    assert same == resolve_config("dec", None, [], {})


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("pretrain.epochs", "section.key=value"),
        ("=3", "section.key=value"),
        ("seed.x=3", "seed is a value, 0, not a section"),
        ("a=[1", "no valid YAML"),
    ],
)
def test_a_broken_set_says_what_it_takes(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        set_values({"seed": 0}, [assignment], DECConfig)


def test_files_that_are_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="name: value"):
        read_yaml(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="no valid YAML"):
        read_yaml(tmp_path / "broken.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(tmp_path / "binary.yaml")


def test_a_config_is_laid_over_its_base(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "a.yaml").write_text("method: dec\nclusters: 4\nmodel: {name: conv, latent: 10}\ncluster: {tol: 0.1}")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nname: b\ncluster: {gamma: 0.5}\nmodel: {latent: 8}")
    (tmp_path / "deeper" / "c.yaml").write_text("base: ../b.yaml\ncluster: {tol: 0.2}\nmodel: {name: dense}")
    assert read_config(tmp_path / "deeper" / "c.yaml") == {
        "method": "dec",
        "name": "b",
        "clusters": "4",
        "cluster": {"tol": "0.2", "gamma": "0.5"},
        "model": {"name": "dense"},  # another network: nothing of the base's is meant for it
    }
    assert resolve_config(None, tmp_path / "b.yaml", ["model.latent=6"], {}).model_dump()["model"]["latent"] == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("base: none.yaml", r"cannot read the config .*none\.yaml.*the base of .*own\.yaml"),
        ("base: own.yaml", r"own\.yaml is its own base"),
        ("base: [3]", "takes the name of a config file; received \\['3'\\]"),
        ("base: next.yaml", r"own\.yaml is its own base, by way of .*next\.yaml"),
    ],
)
def test_a_base_that_is_none(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(content)
    (tmp_path / "next.yaml").write_text("base: own.yaml")
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / "own.yaml")


def test_differences_name_the_path_and_both_values() -> None:
    before = DECConfig().model_dump(mode="json")
    after = DECConfig.model_validate({"seed": 1, "model": {"name": "dense", "latent": 10}}).model_dump(mode="json")
    found = differences(before, after)
    assert "seed: 0 → 1" in found
    assert "model.name: 'conv' → 'dense'" in found
    assert not any(line.startswith("pretrain") for line in found)
    assert differences(before, before) == []


def test_the_names_of_parts_are_those_that_can_be_built() -> None:
    """They stand in the registry once more, which imports nothing that takes seconds."""
    assert tuple(build.CLUSTERERS) == registry.CLUSTERERS
    assert ("", *two_stage.ENCODER_KINDS) == registry.ENCODERS
    assert {part for name in registry.REDUCERS for part in name.split("-") if part} == two_stage.REDUCER_KINDS.keys()
