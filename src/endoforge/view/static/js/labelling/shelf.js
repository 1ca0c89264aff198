/** The runs that can be labelled, a card each. */

import { byId, count, el, setText, show } from "../dom.js";

const THUMB_PX = 320;
const ORDER = ["reviewed", "given", "predicted", "unlabelled", "unreadable"];
const WORDS = { reviewed: "reviewed", given: "given", predicted: "predicted", unlabelled: "without a label", unreadable: "unreadable" };

export class RunShelf {
  constructor(open) {
    this.open = open;
    this.list = byId("label-runs");
    this.before = "";
  }

  /** Show the answer of /api/labels. */
  update(shelf) {
    const text = JSON.stringify(shelf);
    if (text === this.before) return;
    this.before = text;
    const { root, runs, left_out: leftOut, problem } = shelf;
    const more = leftOut ? `, ${count(leftOut)} older not shown` : "";
    setText(byId("label-runs-note"), `${count(runs.length)} in ${root}${more}`);
    show(byId("label-choice-problem"), Boolean(problem));
    setText(byId("label-choice-problem"), problem ?? "");
    const empty = el("li", { class: "empty" }, `No runs in ${root} yet. Bring a video with endoforge import --video, record the live view, or have endoforge detect write its finds as runs.`);
    this.list.replaceChildren(...(runs.length ? runs.map((run) => this.#card(run)) : [empty]));
  }

  #card(run) {
    const parts = ORDER.filter((status) => run.counts[status]);
    const told = parts.map((status) => `${count(run.counts[status])} ${WORDS[status]}`).join(" · ");
    const picture = run.first === null ? el("span", { class: "no-picture" }, "no frames")
      : el("img", { src: `/api/labels/${encodeURIComponent(run.name)}/${run.first}/picture.jpg?width=${THUMB_PX}`, alt: "", loading: "lazy", width: 160, height: 90 });
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, ...parts.map((status) => {
      const part = el("i", { "data-status": status });
      part.style.flexGrow = String(run.counts[status]);
      return part;
    }));
    return el("li", {}, el("button", { class: "run", type: "button", disabled: run.first === null, onclick: () => this.open(run.name) },
      picture, el("b", {}, run.name), bar, el("span", {}, told || "empty"),
      run.chosen ? el("span", { class: "badge", "data-state": "partial" }, `${count(run.chosen_left)} of ${count(run.chosen)} chosen to do`) : null));
  }
}
