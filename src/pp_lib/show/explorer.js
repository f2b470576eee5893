// The browser's half of pp_lib.show.Explorer. It holds no mathematics: Python computed every frame,
// every tick and every sentence; this picks the frame that the controls point at, and draws it.

const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 320, height: 240, left: 52, right: 312, top: 10, bottom: 196 };
const READERS = { f2: Uint16Array, f4: Float32Array, u1: Uint8Array, u2: Uint16Array };
const STEP_MS = 450;

function make(tag, attributes = {}, ...children) {
  const drawn = ["svg", "g", "path", "line", "rect", "text", "image"].includes(tag);
  const element = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// --- the frames ---------------------------------------------------------------------------------

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const body = 8 + length;
  header.arrays = header.arrays.map(({ type, shape, at }) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const raw = new READERS[type](buffer, body + at, size);
    return { shape, values: type === "f2" ? Float32Array.from(raw, fromHalf) : raw };
  });
  header.bytes = ({ kind, at, length }) =>
    new Blob([new Uint8Array(buffer, body + at, length)], { type: kind });
  return header;
}

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

// Which of the stored values belongs to a frame, and the values themselves.
const which = (data, held, frame) =>
  held.frames === undefined ? 0 : data.arrays[held.frames].values[frame];

function values(data, trace, frame) {
  const { shape, values: all } = data.arrays[trace.values];
  const size = shape.slice(1).reduce((a, b) => a * b, 1);
  const from = which(data, trace, frame) * size;
  return { shape: shape.slice(1), values: all.subarray(from, from + size) };
}

function points(data, view, series, frame) {
  const { shape, values: v } = values(data, series.trace, frame);
  if (shape.length === 2) return Array.from({ length: shape[0] }, (_, i) => [v[2 * i], v[2 * i + 1]]);
  if (series.mark === "rules") return Array.from(v, (x) => [x, NaN]);
  if (series.mark === "levels") return Array.from(v, (y) => [NaN, y]);
  return Array.from(v, (y, i) => [data.arrays[view.along].values[i], y]);
}

// --- drawing ------------------------------------------------------------------------------------

const short = (v, digits = 3) => {
  const text = v === 0 || (Math.abs(v) >= 1e-3 && Math.abs(v) < 1e5)
    ? String(Number(v.toPrecision(digits))) : v.toExponential(1);
  return text.replace("-", "\u2212");
};

function scale({ limits, log }, from, to) {
  const [a, b] = log ? limits.map(Math.log) : limits;
  const at = (v) => from + (((log ? Math.log(v) : v) - a) / (b - a)) * (to - from);
  at.back = (p) => {
    const v = a + ((p - from) / (to - from)) * (b - a);
    return log ? Math.exp(v) : v;
  };
  return at;
}

function plane(view, right = BOX.right) {
  const svg = make("svg", {
    viewBox: `0 0 ${BOX.width} ${view.x ? BOX.height : BOX.bottom + 22}`, role: "img", "aria-label": view.title,
  });
  const y = scale(view.y, BOX.bottom, BOX.top);
  const x = view.x && scale(view.x, BOX.left, right);
  const ink = make("g", { class: "pp-ink" });
  const word = (text, attributes) => ink.append(make("text", attributes, text));
  for (const [value, text] of view.y.ticks) {
    ink.append(make("line", { x1: BOX.left, x2: right, y1: y(value), y2: y(value), class: "pp-grid" }));
    word(text, { x: BOX.left - 6, y: y(value) + 4, "text-anchor": "end" });
  }
  for (const [value, text] of view.x?.ticks ?? []) {
    ink.append(make("line", { x1: x(value), x2: x(value), y1: BOX.bottom, y2: BOX.bottom + 4 }));
    word(text, { x: x(value), y: BOX.bottom + 17, "text-anchor": "middle" });
  }
  const middle = (BOX.top + BOX.bottom) / 2;
  ink.append(make("line", { x1: BOX.left, x2: right, y1: BOX.bottom, y2: BOX.bottom }));
  word(view.y.label, { x: -middle, y: 12, transform: "rotate(-90)", "text-anchor": "middle" });
  if (view.x) word(view.x.label, { x: (BOX.left + right) / 2, y: BOX.height - 6, "text-anchor": "middle" });
  // A nested svg cuts off what lies outside the limits.
  const [w, h] = [right - BOX.left, BOX.bottom - BOX.top];
  const inside = make("svg", {
    x: BOX.left, y: BOX.top, width: w, height: h, viewBox: `${BOX.left} ${BOX.top} ${w} ${h}`,
    overflow: "hidden", "aria-hidden": "true",
  });
  svg.append(ink, inside);
  return { svg, inside, x, y, right };
}

function curve(series, all, x, y, right) {
  const path = [];
  let down = false;
  for (const [px, py] of all) {
    if (series.mark === "rules") {
      if (Number.isFinite(x(px))) path.push(`M${x(px)} ${BOX.bottom}V${BOX.top}`);
    } else if (series.mark === "levels") {
      if (Number.isFinite(y(py))) path.push(`M${BOX.left} ${y(py)}H${right}`);
    } else {
      const [u, v] = [x(px), y(py)];
      const there = Number.isFinite(u) && Number.isFinite(v);
      const [su, sv] = [u.toFixed(2), v.toFixed(2)];
      if (there && series.mark === "points") path.push(`M${su} ${sv}h0`);
      else if (there && !down) path.push(`M${su} ${sv}`);
      else if (there) path.push(series.mark === "steps" ? `H${su}V${sv}` : `L${su} ${sv}`);
      down = there;
    }
  }
  return path.join("");
}

// Every second series of bars is an outline: colour is not the only difference.
const barOf = (series, i) => ({
  fill: series.colour, stroke: series.colour, "stroke-width": 1.5, "fill-opacity": i % 2 ? 0.25 : 1,
});

const strokeOf = (series) => ({
  class: `pp-series pp-${series.mark} pp-${series.cap}`, stroke: series.colour, fill: "none",
  "stroke-dasharray": series.mark === "points" ? "" : series.dash,
});

function legend(list) {
  if (!list.some((s) => s.name)) return [];
  const sample = (s) =>
    make("svg", { viewBox: "0 0 28 10", width: 28, height: 10, "aria-hidden": "true",
      class: s.colour === "#ffffff" ? "pp-on-map" : "" },
      s.bar ? make("rect", { x: 5, y: 1, width: 18, height: 8, ...s.bar })
        : make("path", { ...strokeOf(s), d: s.mark === "points" ? "M14 5h0" : "M0 5H28" }));
  return [make("p", { class: "pp-legend" }, ...list.map((s) => make("span", {}, sample(s), s.name)))];
}

function drawLines(data, view, over = plane(view)) {
  const { svg, inside, x, y, right } = over;
  const paths = view.series.map((s) => make("path", { ...strokeOf(s), "data-series": s.name }));
  const cursor = make("path", { class: "pp-cursor", d: "" });
  inside.append(...paths, cursor);
  const told = make("p", { class: "pp-hover" }, "\u00a0");
  let shown = [];
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = x.back(((event.clientX - box.left) / box.width) * BOX.width);
    const [low, high] = [...view.x.limits].sort((a, b) => a - b);
    if (at < low || at > high) return;
    const near = (list) => list.reduce((a, b) => (Math.abs(x(b[0]) - x(at)) < Math.abs(x(a[0]) - x(at)) ? b : a));
    const found = view.series.map((s, i) => [s, shown[i].filter((p) => p.every(Number.isFinite))])
      .filter(([, list]) => list.length).map(([s, list]) => [s, near(list)]);
    if (!found.length) return;
    told.textContent = `${view.x.label} ${short(found[0][1][0])}: ` +
      found.map(([s, p]) => `${s.name} ${short(p[1])}`.trim()).join(", ");
    cursor.setAttribute("d", `M${x(found[0][1][0])} ${BOX.top}V${BOX.bottom}`);
  });
  svg.addEventListener("pointerleave", () => {
    told.textContent = "\u00a0";
    cursor.setAttribute("d", "");
  });
  const show = (frame) => {
    shown = view.series.map((s) => points(data, view, s, frame));
    paths.forEach((path, i) => path.setAttribute("d", curve(view.series[i], shown[i], x, y, right)));
  };
  return [[svg, ...legend(view.series), told], show];
}

function drawBars(data, view) {
  const { svg, inside, y } = plane(view);
  const [n, k] = [view.labels.length, view.series.length];
  const room = (BOX.right - BOX.left) / n;
  const width = (0.8 * room) / k;
  const ground = y(view.y.log ? view.y.limits[0] : Math.max(0, view.y.limits[0]));
  const named = n * k <= 12;
  const bars = view.series.map((s, i) => view.labels.map((_, j) => {
    const left = BOX.left + j * room + 0.1 * room + i * width;
    const rect = make("rect", { x: left + 0.06 * width, width: 0.88 * width, ...barOf(s, i) });
    const value = make("text", { x: left + width / 2, "text-anchor": "middle", class: "pp-value" });
    inside.append(rect, value);
    return [rect, value];
  }));
  view.labels.forEach((text, j) => {
    if (n > 14 && j % Math.ceil(n / 10)) return;
    svg.firstChild.append(make("text",
      { x: BOX.left + (j + 0.5) * room, y: BOX.bottom + 17, "text-anchor": "middle" }, text));
  });
  const show = (frame) => view.series.forEach((s, i) => {
    const { values: v } = values(data, s.trace, frame);
    bars[i].forEach(([rect, value], j) => {
      const top = Number.isFinite(v[j]) ? y(v[j]) : ground;
      rect.setAttribute("y", Math.min(top, ground));
      rect.setAttribute("height", Math.abs(ground - top));
      rect.setAttribute("data-label", `${view.labels[j]}: ${short(v[j])}`);
      value.textContent = named ? short(v[j], n * k > 4 && Math.abs(v[j]) < 100 ? 2 : 3) : "";
      value.setAttribute("y", Math.max(BOX.top + 10, Math.min(top, ground) - 3));
    });
  });
  const told = make("p", { class: "pp-hover" }, "\u00a0");
  svg.addEventListener("pointermove", (event) => {
    told.textContent = event.target.getAttribute("data-label") || "\u00a0";
  });
  return [[svg, ...legend(view.series.map((s, i) => ({ ...s, bar: barOf(s, i) }))), told], show];
}

function drawPicture(data, view) {
  const urls = view.pictures.map((p) => URL.createObjectURL(data.bytes(p)));
  const image = make("img", { alt: view.title, width: view.width, height: view.height });
  if (view.pixelated) image.className = "pp-pixelated";
  const show = (frame) => { image.src = urls[which(data, view, frame)]; };
  return [[image], show];
}

function drawHeatmap(data, view) {
  const over = plane(view, BOX.width - 70);
  const { inside, x, y, svg } = over;
  const colours = data.arrays[view.colours].values;
  const tone = scale(view.z, 0, 255);
  const [h, w] = data.arrays[view.trace.values].shape.slice(1);
  const canvas = make("canvas", { width: w, height: h });
  const paint = canvas.getContext("2d");
  const raster = make("image", { preserveAspectRatio: "none", class: "pp-pixelated",
    x: BOX.left, y: BOX.top, width: over.right - BOX.left, height: BOX.bottom - BOX.top });
  inside.append(raster);
  const bar = scale(view.z, BOX.bottom, BOX.top);
  for (let i = 0; i < 64; i++) {
    const c = colours.subarray(3 * (4 * i + 2), 3 * (4 * i + 3));
    const height = (BOX.bottom - BOX.top) / 64;
    svg.firstChild.append(make("rect", { x: over.right + 7, width: 10, y: BOX.bottom - (i + 1) * height,
      height: height + 0.5, fill: `rgb(${c})`, stroke: "none" }));
  }
  for (const [value, text] of view.z.ticks)
    svg.firstChild.append(make("text", { x: over.right + 21, y: bar(value) + 4 }, text));
  svg.firstChild.append(make("text",
    { x: -(BOX.top + BOX.bottom) / 2, y: BOX.width - 4, transform: "rotate(-90)", "text-anchor": "middle" },
    view.z.label));
  const [elements, showLines] = drawLines(data, view, over);
  let last = null;
  const show = (frame) => {
    showLines(frame);
    const { values: v } = values(data, view.trace, frame);
    if (last === v.byteOffset) return;
    last = v.byteOffset;
    const pixels = paint.createImageData(w, h);
    for (let i = 0; i < w * h; i++) {
      const row = h - 1 - Math.floor(i / w); // y points up
      const c = 3 * Math.max(0, Math.min(255, Math.round(tone(v[i]))) || 0);
      const at = 4 * (row * w + (i % w));
      for (let k = 0; k < 3; k++) pixels.data[at + k] = colours[c + k];
      pixels.data[at + 3] = Number.isNaN(v[i]) ? 0 : 255;
    }
    paint.putImageData(pixels, 0, 0);
    raster.setAttribute("href", canvas.toDataURL());
  };
  return [elements, show];
}

const DRAW = { lines: drawLines, bars: drawBars, picture: drawPicture, heatmap: drawHeatmap };

// --- the controls -------------------------------------------------------------------------------

// Returns the control, and a function that sets it to a position.
function control({ label, kind, texts }, moved) {
  if (kind === "choice") {
    const inputs = texts.map((_, i) => make("input", { type: "radio", name: label, value: i }));
    inputs.forEach((input, i) => input.addEventListener("change", () => moved(i)));
    const buttons = inputs.map((input, i) => make("label", {}, input, texts[i]));
    const box = make("fieldset", { class: "pp-axis" }, make("legend", {}, label), ...buttons);
    return [box, (i) => { inputs[i].checked = true; }];
  }
  if (kind === "switch") {
    const input = make("input", { type: "checkbox" });
    input.addEventListener("change", () => moved(Number(input.checked)));
    return [make("label", { class: "pp-axis pp-switch" }, input, label),
      (i) => { input.checked = Boolean(i); }];
  }
  const input = make("input", { type: "range", min: 0, max: texts.length - 1, step: 1 });
  const value = make("b", { "aria-hidden": "true" });
  input.addEventListener("input", () => moved(Number(input.value)));
  return [make("label", { class: "pp-axis" }, make("span", {}, `${label} `, value), input), (i) => {
    input.value = i;
    input.setAttribute("aria-valuetext", texts[i]);
    value.textContent = texts[i];
  }];
}

export async function render({ model, el }) {
  const data = await unpack(model.get("payload"));
  const sizes = data.axes.map((axis) => axis.texts.length);
  const start = data.axes.map((axis) => axis.start);
  const says = make("p", { class: "pp-says", "aria-live": "polite" });
  const views = data.views.map((view) => {
    const [elements, show] = DRAW[view.kind](data, view);
    return [make("div", { class: `pp-view pp-${view.kind}` },
      make("p", { class: "pp-title" }, view.title), ...elements), show];
  });
  const move = (index) => {
    model.set("index", index);
    model.save_changes();
    draw();
  };
  const controls = data.axes.map((axis, k) => control(axis, (i) => {
    pause();
    move(model.get("index").with(k, i));
  }));
  const draw = () => {
    const index = model.get("index");
    const frame = index.reduce((at, i, k) => at * sizes[k] + i, 0);
    controls.forEach(([, set], k) => set(index[k]));
    views.forEach(([, show]) => show(frame));
    says.textContent = data.says.sentences[which(data, data.says, frame)];
  };
  let timer = null;
  const play = make("button", { type: "button" }, "Play");
  const pause = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    says.setAttribute("aria-live", "polite");
  };
  play.addEventListener("click", () => {
    if (timer !== null) return pause();
    const k = data.play;
    const step = () => {
      const index = model.get("index");
      if (index[k] === sizes[k] - 1) pause();
      else move(index.with(k, index[k] + 1));
    };
    // At the end it begins anew.
    if (model.get("index")[k] === sizes[k] - 1) move(model.get("index").with(k, 0));
    timer = setInterval(step, STEP_MS);
    play.textContent = "Pause";
    says.setAttribute("aria-live", "off"); // a sentence every half second cannot be listened to
    return undefined;
  });
  const reset = make("button", { type: "button" }, "Reset");
  reset.addEventListener("click", () => { pause(); move(start); });
  // A form keeps its radio buttons apart from those of the page's other explorers, and a reader who
  // lists a page's forms tells them apart by the number that the caption begins with.
  const name = `Controls of ${data.caption.split(". ")[0]}`;
  const form = make("form", { class: "pp-controls", "aria-label": name },
    ...controls.map(([element]) => element),
    make("div", { class: "pp-buttons" }, ...(data.play === null ? [] : [play]), reset));
  form.addEventListener("submit", (event) => event.preventDefault());
  // JupyterLab would take the arrow keys for itself.
  form.addEventListener("keydown", (event) => event.stopPropagation());
  const box = el.tagName === "FIGURE" ? el : make("figure", { class: "pp-explorer" });
  if (box !== el) el.append(box);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", data.alt);
  box.replaceChildren(form, make("div", { class: "pp-views" }, ...views.map(([v]) => v)), says,
    make("figcaption", {}, data.caption));
  draw();
  model.on("change:index", draw);
  return () => { pause(); model.off("change:index", draw); };
}

export default { render };

// In a page without a kernel: find the figures that Python wrote, and stand in for the model.
// eslint-disable-next-line no-unused-vars
async function start(digest) {
  for (const el of document.querySelectorAll(`[data-explorer="${digest}"]:not([data-started])`)) {
    el.dataset.started = "";
    const payload = el.querySelector("script").textContent;
    const state = { payload, index: (await unpack(payload)).axes.map((axis) => axis.start) };
    const model = {
      get: (key) => state[key],
      set: (key, value) => { state[key] = value; },
      on() {}, off() {}, save_changes() {},
    };
    await render({ model, el });
  }
}
