/** A small line chart: axes, a legend that reads out the values under the pointer, a last point. */

import { el, setText, svg } from "./dom.js";

const MARGIN = { left: 40, right: 14, top: 8, bottom: 30 };

/** Round steps that cut [low, high] into about `parts`; `least` is the smallest step. */
export function ticks(low, high, parts, least = 0) {
  const rough = Math.max((high - low) / parts, least, 1e-9);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max([1, 2, 5, 10].find((m) => m * power >= rough) * power, least);
  const values = [];
  for (let k = Math.ceil(low / step - 1e-6); k * step <= high + 1e-6 * step; k++) values.push(k * step);
  return values;
}

export class LineChart {
  /**
   * `series` is a list of {name, className, points?}; `options` has title, xLabel, yMax (null: from the
   * data), empty (what to say when there is nothing) and xRead (x to text).
   */
  constructor(root, series, options) {
    this.series = series;
    this.options = options;
    this.lines = series.map(() => []);
    this.hover = null;
    this.values = series.map(() => el("b", {}, ""));
    this.legend = el("div", { class: "chart-legend" }, ...series.map((one, i) =>
      el("span", {}, el("i", { class: `key ${one.className}`, "aria-hidden": "true" }), one.name, this.values[i])));
    this.where = el("span", { class: "quiet chart-where" });
    this.plot = el("div", { class: "plot", tabindex: "0", role: "img", "aria-label": options.title });
    this.note = el("p", { class: "empty" }, options.empty);
    root.append(el("figcaption", {}, el("h2", {}, options.title), this.where), this.legend, this.plot);
    new ResizeObserver(() => this.#draw()).observe(this.plot);
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", () => this.#read(null));
    this.plot.addEventListener("blur", () => this.#read(null));
    this.plot.addEventListener("keydown", (event) => this.#arrow(event));
  }

  /** One list of [x, y] for each series; y null where it isn't known. */
  setData(lines) {
    const text = JSON.stringify(lines);
    if (text === this.text) return;
    this.text = text;
    this.lines = lines.map((line) => line.filter(([, y]) => y !== null && y !== undefined));
    this.xs = [...new Set(this.lines.flat().map(([x]) => x))].sort((a, b) => a - b);
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (!width || !height || !this.xs) return;
    this.legend.classList.toggle("idle", !this.xs.length);
    if (!this.xs.length) {
      this.plot.replaceChildren(this.note);
      this.values.forEach((value) => setText(value, ""));
      return;
    }
    this.#scale(width, height);
    const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    this.#axes(drawing, width, height);
    this.lines.forEach((line, i) => this.#line(drawing, line, this.series[i]));
    this.cursor = svg("g", { class: "cursor" });
    drawing.append(this.cursor);
    this.plot.replaceChildren(drawing);
    this.#read(this.hover);
  }

  #scale(width, height) {
    const least = Math.min(0, this.xs[0]);
    const most = Math.max(this.xs.at(-1), least + 1);
    const ys = this.lines.flat().map(([, y]) => y);
    const top = this.options.yMax ?? (Math.max(...ys) * 1.06 || 1);
    this.area = { x0: MARGIN.left, x1: width - MARGIN.right, y0: height - MARGIN.bottom, y1: MARGIN.top };
    this.range = { least, most, top };
    const { x0, x1, y0, y1 } = this.area;
    this.x = (value) => x0 + ((value - least) / (most - least)) * (x1 - x0);
    this.y = (value) => y0 + (value / top) * (y1 - y0);
  }

  #axes(drawing, width, height) {
    const { x0, x1, y0 } = this.area;
    const { least, most, top } = this.range;
    const yTicks = ticks(0, top, height < 170 ? 3 : 5);
    for (const value of yTicks) {
      const y = Math.round(this.y(value)) + 0.5;
      drawing.append(svg("line", { class: value ? "grid" : "axis", x1: x0, x2: x1, y1: y, y2: y }));
      const digits = yTicks[1] - yTicks[0] < 0.1 ? 2 : yTicks[1] - yTicks[0] < 1 ? 1 : 0;
      drawing.append(svg("text", { class: "tick", x: x0 - 8, y: y + 4, "text-anchor": "end" }, value.toFixed(digits)));
    }
    for (const value of ticks(least, most, Math.max(2, Math.floor(width / 70)), 1)) {
      drawing.append(svg("text", { class: "tick", x: this.x(value), y: y0 + 15, "text-anchor": "middle" }, String(value)));
    }
    drawing.append(svg("text", { class: "tick", x: (x0 + x1) / 2, y: y0 + 28, "text-anchor": "middle" }, this.options.xLabel));
  }

  #line(drawing, line, { className, points }) {
    if (!line.length) return;
    const places = line.map(([x, y]) => [this.x(x).toFixed(1), this.y(y).toFixed(1)]);
    drawing.append(svg("path", { class: `curve ${className}`, d: `M${places.map((p) => p.join(" ")).join("L")}` }));
    for (const [cx, cy] of points ? places : places.slice(-1)) {
      drawing.append(svg("circle", { class: `dot ${className}`, cx, cy, r: points ? 2.5 : 3.5 }));
    }
  }

  #point(event) {
    if (!this.xs?.length || !this.x) return;
    const at = event.clientX - this.plot.getBoundingClientRect().left;
    const distance = (x) => Math.abs(this.x(x) - at);
    this.#read(this.xs.reduce((best, x) => (distance(x) < distance(best) ? x : best)));
  }

  #arrow(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !this.xs?.length) return;
    event.preventDefault();
    const now = this.hover === null ? this.xs.length : this.xs.indexOf(this.hover);
    this.#read(this.xs[Math.max(0, Math.min(this.xs.length - 1, now + by))]);
  }

  /** The values at `x` into the legend, or the last ones. */
  #read(x) {
    this.hover = this.xs?.includes(x) ? x : null;
    const picked = this.lines.map((line) => this.hover === null
      ? line.at(-1) : line.find(([each]) => each === this.hover));
    picked.forEach((point, i) => setText(this.values[i], point ? point[1].toFixed(3) : "–"));
    setText(this.where, this.hover === null ? "" : this.options.xRead(this.hover));
    this.cursor?.replaceChildren();
    if (this.hover === null || !this.cursor) return;
    const at = this.x(this.hover);
    this.cursor.append(svg("line", { class: "hover", x1: at, x2: at, y1: this.area.y1, y2: this.area.y0 }));
    picked.forEach((point, i) => point && this.cursor.append(
      svg("circle", { class: `dot ${this.series[i].className}`, cx: at, cy: this.y(point[1]), r: 4.5 })));
  }
}
