/** A small map of the colon, as seen from the front, with the endoscope and the lesions in it. */

import { svg } from "./dom.js";

/** Left, up, forward in mm: the mean course that the simulator bends each colon from. */
const COURSE = {
  rectum: [[0, 0, 0], [0, 45, -25], [0, 90, -42], [0, 125, -30]],
  sigmoid: [[-25, 150, 5], [-62, 150, 42], [-60, 205, 60], [5, 215, 50], [55, 180, 25], [95, 200, -15]],
  descending: [[128, 250, -38], [138, 310, -42], [140, 375, -40], [135, 440, -28]],
  transverse: [[88, 452, 20], [55, 385, 52], [10, 345, 62], [-45, 350, 60], [-88, 395, 42], [-118, 440, 8]],
  ascending: [[-148, 405, -28], [-150, 345, -38], [-146, 290, -38]],
  cecum: [[-138, 245, -30], [-128, 205, -20]],
};
const NAMES = Object.keys(COURSE);
const STEPS = 12;

/** A smooth curve through points (Catmull-Rom), with `STEPS` samples between two. */
function smooth(points) {
  const at = (i) => points[Math.max(0, Math.min(points.length - 1, i))];
  const curve = [];
  for (let i = 0; i < points.length - 1; i++) {
    const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
    for (let k = 0; k < STEPS; k++) {
      const t = k / STEPS;
      curve.push(b.map((_, j) => 0.5 * (2 * b[j] + (c[j] - a[j]) * t
        + (2 * a[j] - 5 * b[j] + 4 * c[j] - d[j]) * t * t
        + (3 * b[j] - a[j] - 3 * c[j] + d[j]) * t ** 3)));
    }
  }
  curve.push(at(points.length - 1));
  return curve;
}

/** A dot, a ring and a cross: told apart without colour, too. */
const DISC = "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0Z";
const SIGNS = { found: DISC, missed: DISC, false: "M-2.6 -2.6L2.6 2.6M-2.6 2.6L2.6 -2.6" };

const onMap = ([left, up]) => [63 + 0.345 * left, 113 - 0.232 * up];
const line = (points) => "M" + points.map((point) => onMap(point).map((v) => v.toFixed(1)).join(" ")).join("L");

export class ColonMap {
  constructor(root) {
    this.root = root;
    this.curve = smooth(Object.values(COURSE).flat());
    this.arc = [0];
    for (let i = 1; i < this.curve.length; i++) {
      const step = Math.hypot(...this.curve[i].map((v, j) => v - this.curve[i - 1][j]));
      this.arc.push(this.arc[i - 1] + step);
    }
    this.ranges = this.#segmentRanges();
    this.#draw();
  }

  /** First and last sample of each segment; borders lie half way between two given points. */
  #segmentRanges() {
    let given = 0;
    let first = 0;
    return Object.fromEntries(NAMES.map((name) => {
      given += COURSE[name].length;
      const last = Math.min(Math.round((given - 0.5) * STEPS), this.curve.length - 1);
      const range = [first, last];
      first = last;
      return [name, range];
    }));
  }

  #draw() {
    this.tubes = Object.fromEntries(NAMES.map((name) => {
      const [first, last] = this.ranges[name];
      const path = line(this.curve.slice(first, last + 1));
      return [name, svg("path", { d: path, class: "tube", "data-segment": name })];
    }));
    this.shaft = svg("path", { class: "shaft" });
    this.tip = svg("circle", { class: "tip", r: 4 });
    this.marks = svg("g");
    const wall = svg("path", { d: line(this.curve), class: "wall" });
    this.root.append(wall, ...Object.values(this.tubes), this.shaft, this.marks, this.tip);
  }

  /** Show where polyps were found or missed so far, and where something else was taken for one. */
  mark(marks) {
    const text = JSON.stringify(marks);
    if (text === this.marked) return;
    this.marked = text;
    this.marks.replaceChildren(...marks.map(({ kind, segment, share }) => {
      const [x, y] = onMap(this.curve[this.#sample(this.ranges[segment], share)]);
      const at = `translate(${x.toFixed(1)} ${y.toFixed(1)})`;
      return svg("path", { d: SIGNS[kind], class: `mark ${kind}`, transform: at });
    }));
  }

  /** Show the endoscope at `share` (0..1) of the colon's length, in the named segment. */
  update(segment, share) {
    const range = this.ranges[segment];
    for (const [name, tube] of Object.entries(this.tubes)) tube.classList.toggle("here", name === segment);
    if (!range || share === null) return;
    const index = this.#sample(range, Math.max(0, Math.min(1, share)));
    if (index === this.index) return;
    this.index = index;
    this.shaft.setAttribute("d", line(this.curve.slice(0, index + 1)));
    const [x, y] = onMap(this.curve[index]);
    this.tip.setAttribute("cx", x.toFixed(1));
    this.tip.setAttribute("cy", y.toFixed(1));
  }

  /** Each colon's segments differ from the mean's: the named segment wins over the length. */
  #sample([first, last], share) {
    const wanted = share * this.arc.at(-1);
    const index = this.arc.findIndex((length) => length >= wanted);
    return Math.max(first, Math.min(last, index < 0 ? last : index));
  }
}
