"""The page of clusters, read as a browser shows it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import torch
from PIL import Image

from data.image_set import ImageSet
from data.known import KnownLabels
from data.known_file import read_known
from data.names import Names
from evaluation.predictions import EvaluationError, Predictions
from methods.base import Assignments
from report.answers import answers
from report.gallery.build import build_gallery
from report.gallery.sheets import write_sheets

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
N = 30
LABELS = torch.tensor([2, 0, 1] * 10)
NAMES = tuple(f"album {i % 2}/café #{i}.png" for i in range(N))


def predictions(folder: Path, noise: int | None = None) -> Predictions:
    """Thirty images in files of a folder, in three clusters on a line."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (N, 3, 12, 16), dtype=torch.uint8, generator=generator)
    for name, image in zip(NAMES, images, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    z = torch.stack([10.0 * LABELS, torch.arange(N) / 10], dim=1)
    centroids = torch.tensor([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    images_set = ImageSet("pictures", "all", images, origin=str(folder), names=Names.of(NAMES))
    return Predictions(images_set, z, Assignments(LABELS), 3, "made", centroids, noise=noise)


def built(tmp_path: Path, noise: int | None = None, names: dict[int, str] | None = None) -> Path:
    made = predictions(tmp_path / "my pictures", noise)
    return build_gallery(
        tmp_path / "page", made, answers(made, NAMES), names or {}, 'Clusters of <b>"pictures"</b>', "made."
    )


def content(page: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((page.parent / "data.js").read_text().removeprefix("window.GALLERY = ")[:-2])
    return found


def test_every_image_is_there_once_with_its_cluster_its_link_and_its_pixels(tmp_path: Path) -> None:
    page = built(tmp_path)
    found = content(page)
    assert sorted(found["files"]) == sorted(NAMES)
    with Image.open(page.parent / "sheets" / "0.png") as opened:
        sheet = opened.copy()
    for cluster in found["clusters"]:
        for place in range(cluster["start"], cluster["start"] + cluster["size"]):
            number = NAMES.index(found["files"][place])
            assert LABELS[number] == cluster["id"]
            link = page.parent / unquote(found["root"]) / unquote(found["originals"][place])
            assert link.samefile(tmp_path / "my pictures" / NAMES[number])
            column, row = place % 10, place // 10
            tile = sheet.crop((16 * column, 12 * row, 16 * column + 16, 12 * row + 12))
            with Image.open(tmp_path / "my pictures" / NAMES[number]) as picture:
                assert tile.tobytes() == picture.tobytes()


def test_typical_borderline_and_surprising_by_hand(tmp_path: Path) -> None:
    found = content(built(tmp_path))
    first = found["clusters"][0]  # cluster 0: images 1, 4, …, 28, the farther from the centre the later
    names = {kind: [found["files"][place] for place in first[kind]] for kind in ("typical", "surprising", "borderline")}
    assert names["typical"][:3] == [NAMES[1], NAMES[4], NAMES[7]]
    assert names["surprising"][:3] == [NAMES[28], NAMES[25], NAMES[22]]
    assert names["borderline"][0] == NAMES[28]  # the distances to both centres differ least far above the line


def test_noise_stands_last_and_has_nothing_typical(tmp_path: Path) -> None:
    found = content(built(tmp_path, noise=0))
    assert [cluster["id"] for cluster in found["clusters"]] == [1, 2, -1]
    assert found["clusters"][-1]["typical"] == []


def test_an_older_page_is_replaced_and_any_other_folder_left_alone(tmp_path: Path) -> None:
    page = built(tmp_path)
    (page.parent / "names.json").write_text("{}")
    assert built(tmp_path, names={1: "boots"}) == page
    assert content(page)["names"] == {"1": "boots"}
    assert (page.parent / "names.json").read_text() == "{}"
    (tmp_path / "page" / "data.js").unlink()
    with pytest.raises(EvaluationError, match="is not empty"):
        built(tmp_path)


def test_large_images_are_reduced_and_a_sheet_holds_a_hundred(tmp_path: Path) -> None:
    images = torch.full((101, 1, 300, 200), 7, dtype=torch.uint8)
    cell = write_sheets(images, torch.arange(101), tmp_path)
    assert cell == (85, 128, 10, 100, "jpg")
    for name, size in (("0.jpg", (850, 1280)), ("1.jpg", (850, 128))):
        with Image.open(tmp_path / name) as sheet:
            assert sheet.size == size


def shown(page: Path, script: str, address: str = "") -> str:
    """What a browser shows once `script` has run in the page: the document's text."""
    assert BROWSER is not None
    probe = page.with_name("probe.html")
    probe.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"{probe.as_uri()}{address}"], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium")


@needs_browser
def test_a_browser_shows_clusters_images_and_searches(tmp_path: Path) -> None:
    page = built(tmp_path, names={2: "café"})
    script = """
    const log = [];
    const wait = (ms) => new Promise((done) => setTimeout(done, ms));
    (async () => {
      await wait(100);
      log.push(document.querySelectorAll(".card").length, document.querySelector("#title").textContent);
      log.push(document.querySelectorAll(".card input")[2].value);
      const field = document.querySelectorAll(".card input")[1];
      field.value = "boots"; field.dispatchEvent(new Event("input"));
      location.hash = "cluster=1&all"; await wait(500);
      const thumbs = document.querySelectorAll(".thumb");
      log.push(thumbs.length);
      thumbs[0].focus();
      thumbs[0].dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
      log.push(document.activeElement === thumbs[1]);
      document.activeElement.click(); await wait(50);
      log.push(document.getElementById("viewer").open, document.getElementById("viewer-facts").textContent);
      log.push(document.getElementById("viewer-original").getAttribute("href"));
      document.getElementById("viewer").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
      log.push(document.getElementById("viewer-name").textContent);
      document.getElementById("viewer").close();
      const query = document.getElementById("query");
      query.value = "#7."; query.dispatchEvent(new Event("input")); await wait(300);
      log.push([...document.querySelectorAll(".thumb")].map((t) => t.title).join());
      document.title = JSON.stringify(log);
    })();
    """
    title = re.search("<title>(.*)</title>", shown(page, script))
    assert title is not None

    log = json.loads(html.unescape(title[1]))
    own = [name for name, label in zip(NAMES, LABELS.tolist(), strict=True) if label == 1]
    assert log[:5] == [3, 'Clusters of <b>"pictures"</b>', "café", 10, True]
    assert log[5] is True
    assert log[6].startswith("clusterboots (1)second")
    assert log[7].startswith("../my%20pictures/album%20")
    assert log[8] == own[0]
    assert log[9] == NAMES[7]


@needs_browser
def test_labels_that_a_person_types_make_a_file_of_known_labels(tmp_path: Path) -> None:
    page = built(tmp_path)
    script = """
    const wait = (ms) => new Promise((done) => setTimeout(done, ms));
    (async () => {
      await wait(100);
      location.hash = "cluster=1&all"; await wait(300);
      const thumbs = [...document.querySelectorAll(".thumb")];
      const field = document.getElementById("viewer-label");
      for (const [at, text] of [[0, 'boots, "high"'], [1, "bag"], [2, " "]]) {
        thumbs[at].click(); await wait(50);
        field.value = text; field.dispatchEvent(new Event("input"));
      }
      thumbs[1].click(); await wait(50);
      const again = field.value;
      location.hash = ""; await wait(300);
      const buttons = [...document.querySelectorAll(".namesbar button")].map((button) => button.textContent);
      document.title = JSON.stringify([knownCSV(), again, buttons]);
    })();
    """
    title = re.search("<title>(.*?)</title>", shown(page, script), re.DOTALL)
    assert title is not None
    table, again, buttons = json.loads(html.unescape(title[1]))
    own = [position for position, label in enumerate(LABELS.tolist()) if label == 1]
    assert again == "bag"
    assert "Save 2 labels as known.csv" in buttons

    file = tmp_path / "known.csv"
    file.write_text(table)
    images = ImageSet("pictures", "all", torch.zeros(N, 1, 2, 2, dtype=torch.uint8), names=Names.of(NAMES))
    known = read_known(str(file), images, 3, 0)
    assert isinstance(known, KnownLabels)
    assert known.images.tolist() == own[:2]
    assert [known.names[c] for c in known.classes.tolist()] == ['boots, "high"', "bag"]


@needs_browser
def test_a_browser_shows_the_map_and_the_lists(tmp_path: Path) -> None:
    page = built(tmp_path)
    script = """
    const wait = (ms) => new Promise((done) => setTimeout(done, ms));
    (async () => {
      await wait(100);
      const canvas = document.querySelector("canvas");
      const box = canvas.getBoundingClientRect();
      const ink = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v > 0);
      for (const key of ["ArrowRight", "ArrowRight", "Enter"])
        canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
      document.title = `${ink} ${document.getElementById("viewer").open} ${box.width > 100}`;
    })();
    """
    assert "<title>true true true</title>" in shown(page, script, "#map")
    assert "There are none." in shown(page, "", "#look-alikes")
    assert "There are none." in shown(page, "", "#outliers")


@needs_browser
def test_a_browser_draws_the_images_that_are_in_view(tmp_path: Path) -> None:
    assert BROWSER is not None
    page, picture = built(tmp_path), tmp_path / "shot.png"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]
    address = f"{page.as_uri()}#cluster=1&all"
    subprocess.run([*command, f"--screenshot={picture}", address], capture_output=True, timeout=60, check=True)
    with Image.open(picture) as shot:
        assert len(shot.convert("RGB").getcolors(2**24) or []) > 1000  # of noise, where the page alone has dozens


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = built(tmp_path)
    for file in page.parent.iterdir():
        if file.suffix in (".html", ".js", ".css"):
            assert re.findall(r"(?:https?:)?//[a-z]", file.read_text()) == []
