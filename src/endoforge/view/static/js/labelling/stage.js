/** The picture with its boxes: zoomed, panned, and drawn upon. */

import { el, svg } from "../dom.js";
import { classOf, isGuess } from "./boxes.js";
import { Gestures } from "./gestures.js";

const MOST_ZOOM = 12;
const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const HANDLE_PX = 9;
const WIDTHS = [640, 1280, 1920, 2560, 4096];

export class Stage {
  /** `on` has the listeners: select(index), change(index, box), draw(box). */
  constructor(node, on) {
    this.node = node;
    this.on = on;
    this.image = el("img", { alt: "", draggable: "false" });
    this.layer = svg("svg", { "aria-hidden": "true" });
    node.append(this.image, this.layer);
    this.size = [1, 1];
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.polyps = [];
    this.selected = -1;
    this.sketch = null;
    this.hidesBoxes = false;
    new Gestures(node, this);
    new ResizeObserver(() => this.#layout()).observe(node);
    this.image.addEventListener("load", () => node.classList.remove("loading"));
    this.image.addEventListener("error", () => node.classList.replace("loading", "broken"));
  }

  /** Show a frame's picture, all of it; `urlOf(width)` is its address. */
  showPicture(size, urlOf) {
    this.size = size;
    this.urlOf = urlOf;
    this.loaded = 0;
    this.node.classList.remove("broken");
    this.node.classList.add("loading");
    this.fit();
  }

  /** Show boxes; `selected` is the index of one of them, or -1. */
  showBoxes(polyps, selected) {
    this.polyps = polyps;
    this.selected = selected;
    this.#draw();
  }

  /** All of the picture. */
  fit() {
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.#layout();
  }

  /** Zoom by a factor about a point of the screen, which stays where it is; else about the middle. */
  zoomBy(factor, at = null) {
    const point = at ? this.toPicture(at) : null;
    this.zoom = Math.max(1, Math.min(MOST_ZOOM, this.zoom * factor));
    this.#place();
    if (point) {
      const now = this.toScreen(point);
      this.panBy(at[0] - now[0], at[1] - now[1]);
    } else this.#layout();
  }

  /** Move the picture by pixels of the screen. */
  panBy(dx, dy) {
    const [width, height] = this.size;
    this.centre = [this.centre[0] - dx / (this.scale * width), this.centre[1] - dy / (this.scale * height)];
    this.#layout();
  }

  /** The pixel of the picture at a point of the stage. */
  toPicture([x, y]) {
    return [(x - this.left) / this.scale, (y - this.top) / this.scale];
  }

  /** The point of the stage where a pixel of the picture is. */
  toScreen([x, y]) {
    return [this.left + x * this.scale, this.top + y * this.scale];
  }

  /** A box in the picture as left, top, width and height on the stage. */
  #onScreen([x0, y0, x1, y1]) {
    const [left, top] = this.toScreen([x0, y0]);
    return { x: left, y: top, width: (x1 - x0) * this.scale, height: (y1 - y0) * this.scale };
  }

  /** What lies at a point of the stage, `reach` pixels around it counting: a handle of the selected
   * box, or the smallest box. */
  hit([x, y], reach) {
    const held = this.polyps[this.selected];
    if (held?.bbox_px && !this.hidesBoxes) {
      const places = handlePlaces(this.#onScreen(held.bbox_px));
      const near = HANDLES.map((name) => ({ name, far: Math.hypot(places[name][0] - x, places[name][1] - y) }))
        .sort((a, b) => a.far - b.far)[0];
      const small = Math.min(reach, Math.max(6, Math.min(this.#onScreen(held.bbox_px).width, this.#onScreen(held.bbox_px).height) / 3));
      if (near.far <= small) return { index: this.selected, handle: near.name };
    }
    const inside = this.hidesBoxes ? [] : this.polyps.map((polyp, index) => ({ index, box: polyp.bbox_px && this.#onScreen(polyp.bbox_px) }))
      .filter(({ box }) => box && x >= box.x && y >= box.y && x <= box.x + box.width && y <= box.y + box.height)
      .sort((a, b) => a.box.width * a.box.height - b.box.width * b.box.height);
    const own = inside.find(({ index }) => index === this.selected);
    return own || inside.length ? { index: (own ?? inside[0]).index, handle: null } : null;
  }

  /** Show a box that is being drawn, moved or resized; null shows it no longer. */
  preview(index, box) {
    this.sketch = box ? { index, box } : null;
    this.#draw();
  }

  #place() {
    const { clientWidth, clientHeight } = this.node;
    const [width, height] = this.size;
    this.scale = Math.min(clientWidth / width, clientHeight / height) * this.zoom || 1;
    // As far as the picture goes; what is smaller than the stage lies in its middle.
    const within = (centre, shown, whole) => {
      const half = Math.min(0.5, shown / (2 * whole));
      return Math.max(half, Math.min(1 - half, centre));
    };
    this.centre = [
      within(this.centre[0], clientWidth, width * this.scale),
      within(this.centre[1], clientHeight, height * this.scale),
    ];
    this.left = clientWidth / 2 - this.centre[0] * width * this.scale;
    this.top = clientHeight / 2 - this.centre[1] * height * this.scale;
  }

  #layout() {
    if (!this.urlOf || !this.node.clientWidth) return;
    this.#place();
    const { style } = this.image;
    style.width = `${this.size[0] * this.scale}px`;
    style.height = `${this.size[1] * this.scale}px`;
    style.transform = `translate(${this.left}px, ${this.top}px)`;
    this.image.classList.toggle("large", this.scale > 2.5);
    Object.assign(this.node.dataset, { zoom: this.zoom.toFixed(2), width: this.size[0] });
    this.#load();
    this.#draw();
  }

  /** Load as many pixels as are shown, no more than there are. */
  #load() {
    const wanted = Math.min(this.size[0], this.size[0] * this.scale * (window.devicePixelRatio || 1));
    const width = WIDTHS.find((one) => one >= wanted) ?? WIDTHS.at(-1);
    if (width <= this.loaded) return;
    this.loaded = width;
    this.image.src = this.urlOf(width);
  }

  /** The picture's address at the size that is shown, to have the next ones loaded ahead. */
  ahead(urlOf) {
    new Image().src = urlOf(this.loaded || WIDTHS[1]);
  }

  #draw() {
    if (!this.urlOf) return;
    const nodes = [];
    this.polyps.forEach((polyp, index) => {
      if (!polyp.bbox_px || this.hidesBoxes) return;
      const box = this.sketch?.index === index ? this.sketch.box : polyp.bbox_px;
      nodes.push(this.#boxNode(polyp, box, index === this.selected));
    });
    if (this.sketch?.index === -1) nodes.push(svg("rect", { ...this.#onScreen(this.sketch.box), class: "box sketch" }));
    this.layer.replaceChildren(...nodes);
  }

  #boxNode(polyp, box, isSelected) {
    const place = this.#onScreen(box);
    const kind = polyp.suggested ? "suggested" : isGuess(polyp) ? "predicted" : "known";
    const score = polyp.score === null || polyp.score === undefined ? "" : ` ${polyp.score.toFixed(2)}`;
    const text = `${classOf(polyp)}${score}`;
    const wide = 7 * text.length + 10;
    const plateX = Math.max(0, Math.min(place.x, this.node.clientWidth - wide));
    const plateY = place.y >= 20 ? place.y - 19 : place.y + 1;
    const parts = [
      svg("rect", { ...place, class: "box under" }),
      svg("rect", { ...place, class: `box ${kind}` }),
      svg("rect", { x: plateX, y: plateY, width: wide, height: 18, rx: 4, class: `plate ${kind}` }),
      svg("text", { x: plateX + 5, y: plateY + 13 }, text),
    ];
    if (isSelected) {
      parts.push(...Object.values(handlePlaces(place)).map(([x, y]) =>
        svg("rect", { x: x - HANDLE_PX / 2, y: y - HANDLE_PX / 2, width: HANDLE_PX, height: HANDLE_PX, rx: 2, class: "handle" })));
    }
    return svg("g", { class: isSelected ? "selected" : "" }, ...parts);
  }
}

function handlePlaces({ x, y, width, height }) {
  const [mx, my, ex, ey] = [x + width / 2, y + height / 2, x + width, y + height];
  return { nw: [x, y], n: [mx, y], ne: [ex, y], e: [ex, my], se: [ex, ey], s: [mx, ey], sw: [x, ey], w: [x, my] };
}
