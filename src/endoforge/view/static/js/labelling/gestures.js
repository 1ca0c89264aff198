/** Mouse, pen and fingers on the stage: draw, move, resize, zoom, pan. */

import { boxBetween, resized, shifted } from "./boxes.js";

const STILL_PX = 4;
const DOUBLE_MS = 320;
const DOUBLE_ZOOM = 2.5;
const REACH = { mouse: 9, pen: 12, touch: 24 };
const WHEEL = 0.0016;

export class Gestures {
  constructor(node, stage) {
    this.node = node;
    this.stage = stage;
    this.pointers = new Map();
    this.drag = null;
    this.lastTap = { at: 0, point: [0, 0] };
    node.addEventListener("pointerdown", (event) => this.#down(event));
    node.addEventListener("pointermove", (event) => this.#move(event));
    node.addEventListener("pointerup", (event) => this.#up(event));
    node.addEventListener("pointercancel", (event) => this.#cancel(event));
    node.addEventListener("contextmenu", (event) => event.preventDefault());
    node.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #at({ clientX, clientY }) {
    const { left, top } = this.node.getBoundingClientRect();
    return [clientX - left, clientY - top];
  }

  #down(event) {
    if (event.button > 2) return;
    this.node.focus({ preventScroll: true });
    event.preventDefault();
    this.node.setPointerCapture(event.pointerId);
    const at = this.#at(event);
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 2) {
      this.#abandon();
      this.drag = { kind: "pinch", ...this.#pinch() };
      return;
    }
    if (this.pointers.size > 2) return;
    const { stage } = this;
    const hit = event.shiftKey || event.button ? null : stage.hit(at, REACH[event.pointerType] ?? REACH.mouse);
    if (event.button) this.drag = { kind: "pan", last: at };
    else if (hit?.handle) this.drag = { kind: "resize", ...hit, from: at };
    else if (hit) this.drag = { kind: "move", ...hit, from: at };
    else this.drag = { kind: "draw", from: at };
    this.drag.moved = false;
  }

  #move(event) {
    const at = this.#at(event);
    if (!this.pointers.has(event.pointerId)) {
      this.#hover(at, event);
      return;
    }
    const before = this.pointers.get(event.pointerId);
    this.pointers.set(event.pointerId, at);
    const { drag, stage } = this;
    if (!drag) return;
    if (drag.kind === "pinch") {
      if (this.pointers.size === 2) this.#pinched(drag);
      return;
    }
    if (drag.kind === "pan") {
      stage.panBy(at[0] - before[0], at[1] - before[1]);
      return;
    }
    if (!drag.moved && Math.hypot(at[0] - drag.from[0], at[1] - drag.from[1]) < STILL_PX) return;
    drag.moved = true;
    stage.preview(drag.kind === "draw" ? -1 : drag.index, this.#boxOf(drag, at));
  }

  #boxOf(drag, at) {
    const { stage } = this;
    const from = stage.toPicture(drag.from);
    const to = stage.toPicture(at);
    if (drag.kind === "draw") return boxBetween(from, to, stage.size);
    const box = stage.polyps[drag.index]?.bbox_px;
    if (!box) return null;
    if (drag.kind === "move") return shifted(box, to[0] - from[0], to[1] - from[1], stage.size);
    // The handle keeps its distance to the finger, so that an edge doesn't jump when it is touched.
    const [x0, y0, x1, y1] = box;
    const corner = [drag.handle.includes("w") ? x0 : x1, drag.handle.includes("n") ? y0 : y1];
    return resized(box, drag.handle, [corner[0] + to[0] - from[0], corner[1] + to[1] - from[1]], stage.size);
  }

  #up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { drag, stage } = this;
    if (!drag) return;
    if (drag.kind === "pinch") {
      if (!this.pointers.size) this.drag = null;
      return;
    }
    this.drag = null;
    const at = this.#at(event);
    const box = drag.moved ? this.#boxOf(drag, at) : null;
    stage.preview(-1, null);
    if (drag.kind === "pan") return;
    if (!drag.moved) this.#tap(drag, at);
    else if (drag.kind === "draw") {
      if (box) stage.on.draw(box);
    } else if (box) stage.on.change(drag.index, box);
  }

  #tap(drag, at) {
    const { stage, lastTap } = this;
    const now = performance.now();
    const isDouble = now - lastTap.at < DOUBLE_MS && Math.hypot(at[0] - lastTap.point[0], at[1] - lastTap.point[1]) < 30;
    this.lastTap = { at: isDouble ? 0 : now, point: at };
    if (isDouble) {
      if (stage.zoom > 1) stage.fit();
      else stage.zoomBy(DOUBLE_ZOOM, at);
      return;
    }
    stage.on.select(drag.kind === "draw" ? -1 : drag.index);
  }

  #cancel(event) {
    this.pointers.delete(event.pointerId);
    this.#abandon();
  }

  #abandon() {
    this.drag = null;
    this.stage.preview(-1, null);
  }

  #pinch() {
    const [a, b] = [...this.pointers.values()];
    return { apart: Math.hypot(a[0] - b[0], a[1] - b[1]), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
  }

  #pinched(drag) {
    const now = this.#pinch();
    this.stage.panBy(now.middle[0] - drag.middle[0], now.middle[1] - drag.middle[1]);
    if (drag.apart > 0) this.stage.zoomBy(now.apart / drag.apart, now.middle);
    Object.assign(drag, now);
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    this.stage.zoomBy(Math.exp(-event.deltaY * lines * WHEEL), this.#at(event));
  }

  #hover(at, event) {
    const hit = this.stage.hit(at, REACH.mouse);
    this.node.dataset.cursor = event.shiftKey || !hit ? "draw" : hit.handle ?? "move";
  }
}
