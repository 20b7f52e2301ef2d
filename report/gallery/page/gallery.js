"use strict";
// Shows what data.js holds. No library, no network: the page opens from a disk.

const G = window.GALLERY;
const PAGE = 240; // images that are added to a list at a time
const $ = (id) => document.getElementById(id);
const main = $("main");
const byId = new Map(G.clusters.map((cluster) => [cluster.id, cluster]));

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(properties))
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// ---- names that a person gives to clusters -------------------------------------------------------------------------

const KEY = `names of ${G.id}`;
function stored(key, before) {
  try {
    return { ...before, ...JSON.parse(localStorage.getItem(key) || "{}") };
  } catch {
    return { ...before }; // a browser may refuse to store anything for a page on a disk
  }
}
function store(key, texts) {
  try {
    localStorage.setItem(key, JSON.stringify(texts));
  } catch {
    // they live as long as the page is open
  }
}
function download(name, type, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
const names = stored(KEY, G.names);
function setName(id, name) {
  names[id] = name;
  store(KEY, names);
}
const given = (texts) => Object.entries(texts).filter(([, text]) => text.trim());
function saveNames() {
  download("names.json", "application/json", JSON.stringify(Object.fromEntries(given(names)), null, 1) + "\n");
}

// ---- labels that a person gives to images --------------------------------------------------------------------------

const LABELS = `labels of ${G.id}`;
const labels = stored(LABELS, {}); // by the image's place in the page's order
const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
function knownCSV() {
  const lines = given(labels).map(([index, text]) => `${quoted(G.files[index])},${quoted(text.trim())}\n`);
  return "file,label\n" + lines.join("");
}
$("viewer-label").addEventListener("input", () => {
  labels[current.index] = $("viewer-label").value;
  store(LABELS, labels);
});
const label = (id) => (id === -1 ? "noise" : names[id] ? `${names[id]} (${id})` : `cluster ${id}`);

// ---- images --------------------------------------------------------------------------------------------------------

const cell = G.cell; // width, height, columns and rows of a sheet
document.documentElement.style.setProperty("--ratio", `${cell.width} / ${cell.height}`);
const clusterOf = new Int32Array(G.files.length);
for (const cluster of G.clusters) clusterOf.fill(cluster.id, cluster.start, cluster.start + cluster.size);

function paint(element, index) {
  const place = index % cell.per_sheet;
  const column = place % cell.columns;
  const row = Math.floor(place / cell.columns);
  const sheet = Math.floor(index / cell.per_sheet);
  const rows = Math.ceil(Math.min(cell.per_sheet, G.files.length - sheet * cell.per_sheet) / cell.columns);
  const share = (at, count) => (count > 1 ? (100 * at) / (count - 1) : 0);
  element.style.backgroundImage = `url("sheets/${sheet}.${cell.ending}")`;
  element.style.backgroundSize = `${100 * cell.columns}% ${100 * rows}%`;
  element.style.backgroundPosition = `${share(column, cell.columns)}% ${share(row, rows)}%`;
  element.classList.toggle("pixels", cell.width < 64);
}
const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries)
      if (entry.isIntersecting) {
        paint(entry.target, Number(entry.target.dataset.index));
        seen.unobserve(entry.target);
      }
  },
  { rootMargin: "300px" },
);
function thumb(index, list) {
  const button = make("button", { className: "thumb", title: G.files[index], "aria-label": G.files[index] });
  button.dataset.index = index;
  button.addEventListener("click", () => show(index, list));
  seen.observe(button);
  return make("li", {}, button);
}

// A list of images that grows while one scrolls; arrow keys move within it.
function grid(list, limit = Infinity) {
  const holder = make("ul", { className: "grid", role: "list" });
  const end = make("div", { className: "more" });
  let shown = 0;
  const grow = () => {
    const next = Math.min(shown + PAGE, list.length, limit);
    holder.append(...list.slice(shown, next).map((index) => thumb(index, list)));
    shown = next;
    if (shown >= Math.min(list.length, limit)) watcher.disconnect();
  };
  const watcher = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && grow(), {
    rootMargin: "800px",
  });
  grow();
  if (shown < Math.min(list.length, limit)) watcher.observe(end);
  holder.addEventListener("keydown", (event) => {
    const thumbs = [...holder.querySelectorAll("button")];
    const at = thumbs.indexOf(document.activeElement);
    const columns = getComputedStyle(holder).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    thumbs[Math.max(0, Math.min(thumbs.length - 1, at + step))].focus();
  });
  return make("div", {}, holder, end);
}

// ---- one image -----------------------------------------------------------------------------------------------------

let current = { index: 0, list: [0] };
function show(index, list) {
  current = { index, list };
  $("viewer-label").value = labels[index] || "";
  paint($("viewer-image"), index);
  $("viewer-image").setAttribute("aria-label", G.files[index]);
  $("viewer-name").textContent = G.files[index];
  const facts = [["cluster", label(clusterOf[index])]];
  const value = (name, digits) => G[name] && G[name][index] !== null && facts.push([name, G[name][index].toFixed(digits)]);
  value("probability", 3);
  if (G.second && G.second[index] !== null) facts.push(["second", label(G.second[index])]);
  value("margin", 3);
  value("distance", 3);
  $("viewer-facts").replaceChildren(
    ...facts.flatMap(([name, text]) => [make("dt", { textContent: name }), make("dd", { textContent: text })]),
  );
  const original = G.originals && G.originals[index];
  $("viewer-original").hidden = !original;
  if (original) {
    $("viewer-original").href = G.root + original;
    enlarge(G.root + original, index);
  }
  const at = list.indexOf(index);
  $("viewer-back").disabled = at <= 0;
  $("viewer-next").disabled = at < 0 || at >= list.length - 1;
  if (!$("viewer").open) $("viewer").showModal();
}
// The original in place of its small picture, where the browser can show it.
function enlarge(address, index) {
  const picture = new Image();
  picture.onload = () => {
    if (current.index !== index) return;
    const style = $("viewer-image").style;
    [style.backgroundImage, style.backgroundSize, style.backgroundPosition] = [`url("${address}")`, "contain", "center"];
    $("viewer-image").classList.toggle("pixels", picture.naturalWidth < 64);
  };
  picture.src = address;
}
function move(step) {
  const at = current.list.indexOf(current.index) + step;
  if (at >= 0 && at < current.list.length) show(current.list[at], current.list);
}
$("viewer-back").addEventListener("click", () => move(-1));
$("viewer-next").addEventListener("click", () => move(1));
$("viewer").addEventListener("keydown", (event) => {
  if (event.target.matches("input")) return; // where arrows move within the text
  if (event.key === "ArrowRight") move(1);
  if (event.key === "ArrowLeft") move(-1);
});
$("viewer").addEventListener("click", (event) => event.target === $("viewer") && $("viewer").close());
$("viewer").addEventListener("close", () => {
  const back = main.querySelector(`button[data-index="${current.index}"]`);
  if (back) back.focus();
});

// ---- views ---------------------------------------------------------------------------------------------------------

const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
const range = (cluster) => Array.from({ length: cluster.size }, (_, i) => cluster.start + i);
const swatch = (id) => {
  const dot = make("span", { className: "swatch", "aria-hidden": "true" });
  dot.style.background = colour(id);
  return dot;
};
const colour = (id) => (id === -1 ? "#8c959f" : G.colours[id % G.colours.length]);

function nameField(cluster) {
  if (cluster.id === -1) return make("strong", { textContent: "noise: in no cluster" });
  const field = make("input", { value: names[cluster.id] || "", placeholder: "a name for it" });
  field.setAttribute("aria-label", `Name of cluster ${cluster.id}`);
  field.addEventListener("input", () => setName(cluster.id, field.value));
  return field;
}
function overview() {
  const save = make("button", { className: "save", textContent: "Save the names as names.json" });
  save.addEventListener("click", saveNames);
  const bar = make("div", { className: "namesbar" }, save);
  bar.append(make("span", { className: "note", textContent: "predict.py --names names.json takes them up." }));
  const told = given(labels).length;
  if (told) {
    const known = make("button", { className: "save", textContent: `Save ${count(told, "label")} as known.csv` });
    known.addEventListener("click", () => download("known.csv", "text/csv", knownCSV()));
    bar.append(known, make("span", { className: "note", textContent: "train.py --known known.csv learns from them." }));
  }
  const cards = G.clusters.map((cluster) => {
    const open = make("button", { className: "open", textContent: "Look at it" });
    open.setAttribute("aria-label", `Look at ${label(cluster.id)}`);
    open.addEventListener("click", () => (location.hash = `cluster=${cluster.id}`));
    const head = make("div", { className: "head" }, swatch(cluster.id));
    head.append(make("strong", { textContent: cluster.id === -1 ? "" : String(cluster.id) }), nameField(cluster));
    const first = cluster.id === -1 ? range(cluster).slice(0, 8) : cluster.typical.slice(0, 8);
    return make("section", { className: "card" }, head, grid(first),
      make("div", { className: "size", textContent: count(cluster.size, "image") }), open); // prettier-ignore
  });
  main.replaceChildren(bar, make("div", { className: "cards" }, ...cards));
}

const KINDS = {
  typical: "Nearest to the centre of the cluster, and unlike one another.",
  borderline: "Nearly in another cluster.",
  surprising: "In this cluster, and yet far from its centre.",
  all: "All of it, the most typical first.",
};
function clusterView(id, kind = "typical") {
  const cluster = byId.get(id);
  if (!cluster) return overview();
  if (id === -1) kind = "all";
  const list = kind === "all" ? range(cluster) : cluster[kind];
  const tabs = make("div", { className: "tabs" });
  for (const name of id === -1 ? ["all"] : Object.keys(KINDS)) {
    const tab = make("button", { textContent: name });
    tab.setAttribute("aria-pressed", String(name === kind));
    tab.addEventListener("click", () => (location.hash = `cluster=${id}&${name}`));
    tabs.append(tab);
  }
  const head = make("div", { className: "namesbar" }, swatch(id));
  head.append(make("h2", { textContent: id === -1 ? "Noise" : `Cluster ${id}` }), nameField(cluster));
  head.append(make("span", { className: "size", textContent: count(cluster.size, "image") }));
  main.replaceChildren(head, tabs, make("p", { className: "note", textContent: KINDS[kind] }), grid(list));
}
function lists(title, about, list) {
  const text = list.length ? about : "There are none.";
  main.replaceChildren(make("h2", { textContent: title }), make("p", { className: "note", textContent: text }), grid(list));
}
function lookAlikes() {
  const groups = G.look_alikes.map((group) =>
    make("div", { className: "group" }, make("h3", { textContent: count(group.length, "image") }), grid(group)),
  );
  const about = groups.length ? "Pictures saved twice, resized, or of one series." : "There are none.";
  const head = make("h2", { textContent: "Near-duplicates" });
  main.replaceChildren(head, make("p", { className: "note", textContent: about }), ...groups);
}
function search(text) {
  const wanted = text.trim().toLowerCase();
  const found = [];
  G.files.forEach((file, index) => file.toLowerCase().includes(wanted) && found.push(index));
  lists(`Files with “${text.trim()}”: ${found.length.toLocaleString("en")}`, "", found);
}

// ---- the map -------------------------------------------------------------------------------------------------------

function mapView() {
  const canvas = make("canvas", { tabIndex: 0, role: "img" });
  canvas.setAttribute("aria-label", "Map of the images. Arrow keys move from point to point, Enter opens the image.");
  const at = make("p", { className: "note", "aria-live": "polite" });
  const drawn = G.map.index.length;
  const part = drawn < G.files.length ? `${drawn.toLocaleString("en")} of the images, drawn at random. ` : "";
  at.textContent = `${part}Near one another means alike for the method. Click a point to see its image.`;
  main.replaceChildren(make("h2", { textContent: "Map" }), at, canvas);
  const points = G.map.index.map((index, i) => ({ index, x: G.map.x[i], y: G.map.y[i] }));
  let chosen = null;
  const place = (p) => ({ x: 14 + p.x * (canvas.clientWidth - 28), y: 14 + p.y * (canvas.clientHeight - 28) });
  function draw() {
    const scale = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.globalAlpha = 0.75;
    for (const point of points) {
      const { x, y } = place(point);
      pen.fillStyle = colour(clusterOf[point.index]);
      pen.beginPath();
      pen.arc(x, y, drawn > 1500 ? 2.5 : 4, 0, 7);
      pen.fill();
    }
    if (!chosen) return;
    const { x, y } = place(chosen);
    pen.globalAlpha = 1;
    pen.lineWidth = 3;
    pen.strokeStyle = getComputedStyle(canvas).color;
    pen.beginPath();
    pen.arc(x, y, 8, 0, 7);
    pen.stroke();
  }
  function choose(point) {
    chosen = point;
    draw();
    at.textContent = `${G.files[point.index]}, ${label(clusterOf[point.index])}`;
  }
  const nearest = (x, y, fits = () => true) => {
    let best = null;
    let least = Infinity;
    for (const point of points) {
      const p = place(point);
      const far = (p.x - x) ** 2 + (p.y - y) ** 2;
      if (far < least && fits(p, point)) [best, least] = [point, far];
    }
    return best;
  };
  canvas.addEventListener("pointermove", (e) => choose(nearest(e.offsetX, e.offsetY)));
  canvas.addEventListener("click", (e) => {
    choose(nearest(e.offsetX, e.offsetY));
    show(chosen.index, [chosen.index]);
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && chosen) return show(chosen.index, [chosen.index]);
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const from = place(chosen || points[0]);
    // Within the quarter that the arrow points to.
    const ahead = (p) => {
      const along = (p.x - from.x) * way[0] + (p.y - from.y) * way[1];
      const across = Math.abs((p.x - from.x) * way[1]) + Math.abs((p.y - from.y) * way[0]);
      return along > 0.5 && along >= across;
    };
    choose((chosen && nearest(from.x, from.y, ahead)) || chosen || points[0]);
  });
  new ResizeObserver(draw).observe(canvas);
  draw();
}

// ---- from the address to the view ----------------------------------------------------------------------------------

const VIEWS = [
  ["", "Clusters", overview],
  ["map", "Map", mapView],
  ["look-alikes", `Near-duplicates (${G.look_alikes.length})`, lookAlikes],
  ["outliers", `Outliers (${G.outliers.length})`, () => lists("Outliers", "Unlike all other images, the farthest first.", G.outliers)],
]; // prettier-ignore
if (!G.map) VIEWS.splice(1, 1);
function route() {
  const hash = decodeURIComponent(location.hash.slice(1));
  const [first, kind] = hash.split("&");
  $("views").replaceChildren(
    ...VIEWS.map(([key, title]) => {
      const button = make("button", { textContent: title });
      if (first === key || (key === "" && first.startsWith("cluster="))) button.setAttribute("aria-current", "page");
      button.addEventListener("click", () => (location.hash = key));
      return button;
    }),
  );
  if (first.startsWith("cluster=")) return clusterView(Number(first.slice(8)), kind in KINDS ? kind : "typical");
  if (first.startsWith("find=")) return search(hash.slice(5));
  (VIEWS.find(([key]) => key === first) || VIEWS[0])[2]();
}
let typing = 0;
$("query").addEventListener("input", () => {
  clearTimeout(typing);
  const text = $("query").value;
  typing = setTimeout(() => (location.hash = text.trim() ? `find=${encodeURIComponent(text)}` : ""), 150);
});
$("search").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input") || $("viewer").open) return;
  event.preventDefault();
  $("query").focus();
});
window.addEventListener("hashchange", () => {
  route();
  window.scrollTo(0, 0);
});
document.title = G.title;
$("title").textContent = G.title;
$("about").textContent = G.about;
route();
