/** The capture runs: a card each, and a dialog that pages through one's frames. */

import { byId, count, counted, el, setText, show } from "./dom.js";

const THUMB_PX = 320;
const FRAME_PX = 960;

const frameUrl = (run, id, width, overlay) =>
  `/api/runs/${encodeURIComponent(run.name)}/frames/${id}.jpg?overlay=${overlay ? 1 : 0}&width=${width}`;

/** "24 Jul 2025, 09:20". */
function when(unix) {
  if (!unix) return "";
  const options = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" };
  return new Date(1000 * unix).toLocaleString("en-GB", options);
}

export class RunGallery {
  constructor() {
    this.list = byId("runs");
    this.viewer = new FrameViewer();
    this.cards = new Map();
  }

  /** Show the answer of /api/runs; cards that didn't change stay as they are. */
  update({ root, runs, left_out: leftOut }) {
    const more = leftOut ? `, ${count(leftOut)} older not shown` : "";
    setText(byId("runs-note"), runs.length ? `${count(runs.length)} in ${root}${more}` : "");
    if (!runs.length) {
      this.cards.clear();
      this.list.replaceChildren(el("li", { class: "empty" },
        `No runs in ${root} yet. Start datagen here, or press L in the live view.`));
      return;
    }
    const before = this.cards;
    this.cards = new Map(runs.map((run) => {
      const text = JSON.stringify(run);
      const old = before.get(run.name);
      return [run.name, old?.text === text ? old : { text, node: this.#card(run) }];
    }));
    const nodes = [...this.cards.values()].map((card) => card.node);
    if (nodes.some((node, i) => node !== this.list.children[i]) || nodes.length !== this.list.children.length) {
      this.list.replaceChildren(...nodes);
    }
    this.viewer.refresh(runs);
  }

  #card(run) {
    const middle = run.frame_ids[Math.floor(run.frame_ids.length / 2)];
    const picture = middle === undefined
      ? el("span", { class: "no-picture" }, "no frames")
      : el("img", { src: frameUrl(run, middle, THUMB_PX, true), alt: "", loading: "lazy", width: 160, height: 90 });
    const label = `${run.name}: ${counted(run.frames, "frame")}, ${counted(run.boxes, "box")}${run.complete ? "" : ", not complete"}`;
    return el("li", {}, el("button", { class: "run", "aria-label": label, disabled: middle === undefined,
      title: `${when(run.started_at_unix)}, seed ${run.seed}`, onclick: () => this.viewer.open(run) },
    picture,
    el("b", {}, run.name),
    el("span", {}, `${counted(run.frames, "frame")} · ${counted(run.boxes, "box")}`),
    run.complete ? null : el("span", { class: "badge", "data-state": "partial" }, "not complete")));
  }
}

class FrameViewer {
  constructor() {
    this.dialog = byId("frames");
    this.at = 0;
    this.picture = el("img", { class: "frame", alt: "" });
    this.broken = el("p", { class: "error", hidden: true }, "This frame can't be read.");
    this.picture.addEventListener("error", () => show(this.broken, true));
    this.picture.addEventListener("load", () => show(this.broken, false));
    this.slider = el("input", { type: "range", min: 0, "aria-label": "Frame", oninput: () => this.#go(Number(this.slider.value)) });
    this.overlay = el("input", { type: "checkbox", checked: true, onchange: () => this.#show() });
    this.where = el("output", { class: "where" });
    this.facts = el("p", { class: "quiet" });
    const step = (by, label, sign) => el("button", { class: "button", "aria-label": label, onclick: () => this.#go(this.at + by) }, sign);
    byId("frames-body").append(this.picture, this.broken,
      el("div", { class: "pager" }, step(-1, "Previous frame", "←"), this.slider, step(1, "Next frame", "→"), this.where,
        el("label", { class: "check" }, this.overlay, "Boxes")),
      this.facts);
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
  }

  open(run) {
    this.run = run;
    this.at = 0;
    setText(byId("h-frames"), run.name);
    this.#facts();
    this.#go(0);
    this.dialog.showModal();
    this.slider.focus();
  }

  /** The run may have grown while it is looked at. */
  refresh(runs) {
    if (!this.dialog.open) return;
    const now = runs.find((run) => run.name === this.run.name);
    if (!now || now.frames === this.run.frames) return;
    this.run = now;
    this.#facts();
    this.#go(this.at);
  }

  #facts() {
    const { run } = this;
    const facts = [counted(run.frames, "frame"), counted(run.boxes, "box"), `seed ${run.seed}`, when(run.started_at_unix)];
    setText(this.facts, facts.filter(Boolean).join(" · ") + (run.complete ? "" : " · not complete"));
  }

  #go(at) {
    const last = this.run.frame_ids.length - 1;
    this.at = Math.max(0, Math.min(last, at));
    this.slider.max = String(last);
    this.slider.value = String(this.at);
    this.#show();
  }

  #show() {
    const id = this.run.frame_ids[this.at];
    const url = frameUrl(this.run, id, FRAME_PX, this.overlay.checked);
    if (this.picture.getAttribute("src") !== url) this.picture.setAttribute("src", url);
    this.picture.alt = `Frame ${id} of ${this.run.name}`;
    setText(this.where, `${this.at + 1} / ${this.run.frame_ids.length}`);
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (by === undefined || event.target === this.overlay) return;
    event.preventDefault();
    this.#go(this.at + by);
  }
}
