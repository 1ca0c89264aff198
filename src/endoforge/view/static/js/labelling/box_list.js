/** The boxes of a frame as a list, and the classes that they may have. */

import { byId, el, setText, show } from "../dom.js";
import { classOf, isGuess } from "./boxes.js";

const MOST_KEYS = 9;
const MOST_NAME = 200;

export class BoxList {
  constructor(editor) {
    this.editor = editor;
    this.chosenClass = null;
    byId("label-new-class").addEventListener("submit", (event) => this.#newClass(event));
  }

  update() {
    const { editor } = this;
    if (!editor.run || !editor.draft) return;
    const { polyps } = editor.draft;
    const shown = polyps.map((polyp, index) => ({ polyp, index })).filter(({ polyp }) => polyp.bbox_px);
    const hidden = polyps.length - shown.length;
    byId("label-boxes").replaceChildren(...shown.map(({ polyp, index }) => this.#row(polyp, index)));
    show(byId("label-no-boxes"), !shown.length);
    setText(byId("label-box-count"), String(shown.length));
    setText(byId("label-hidden"), hidden ? `and ${hidden} that can't be seen` : "");
    const current = editor.draft.polyps[editor.selected];
    const name = current ? classOf(current) : this.chosenClass ?? editor.run.classes[0];
    byId("label-classes").replaceChildren(...editor.run.classes.map((one, place) =>
      el("button", { class: "button slim", type: "button", "aria-pressed": String(one === name), onclick: () => editor.classify(place) },
        el("span", { class: "class-name" }, one), place < MOST_KEYS ? el("kbd", {}, String(place + 1)) : null)));
  }

  #row(polyp, index) {
    const { editor } = this;
    const kind = polyp.suggested ? "suggested" : isGuess(polyp) ? "predicted" : "known";
    const words = { suggested: "carried over", predicted: "predicted", known: polyp.source === "predicted" ? "confirmed" : "" };
    const score = polyp.score === null || polyp.score === undefined ? "" : polyp.score.toFixed(2);
    const number = el("input", {
      type: "number", min: 1, max: 2147483647, value: polyp.polyp_id ?? "", placeholder: "–", "aria-label": `Number of the polyp of box ${index + 1}`,
      title: "The same lesion has the same number in every frame", onchange: (event) => this.#renumber(index, event.target),
    });
    return el("li", { class: index === editor.selected ? "selected" : "" },
      el("button", { class: "pick", type: "button", "aria-pressed": String(index === editor.selected), onclick: () => editor.select(index) },
        el("i", { class: `swatch ${kind}`, "aria-hidden": "true" }),
        el("span", {}, el("b", {}, classOf(polyp)),
          el("span", { class: "quiet" }, [words[kind], score].filter(Boolean).join(" ")))),
      el("label", { class: "number" }, el("span", { "aria-hidden": "true" }, "№"), number),
      el("button", { class: "button slim", type: "button", "aria-label": `Remove box ${index + 1}`, onclick: () => editor.remove(index) }, "✕"));
  }

  #renumber(index, input) {
    const value = input.value === "" ? null : Number(input.value);
    if (value !== null && !(Number.isInteger(value) && value >= 1)) {
      this.update();
      return;
    }
    this.editor.renumber(index, value);
  }

  #newClass(event) {
    event.preventDefault();
    const { editor } = this;
    const field = byId("label-class-name");
    const name = field.value.trim().slice(0, MOST_NAME);
    if (!name || !editor.run) return;
    if (!editor.run.classes.includes(name)) editor.run.classes.push(name);
    field.value = "";
    editor.classify(editor.run.classes.indexOf(name));
    byId("label-stage").focus();
  }
}
