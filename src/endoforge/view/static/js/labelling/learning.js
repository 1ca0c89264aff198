/** Training on the reviewed frames, and the new detector beside the old one. */

import { getJson, Poller, postJson } from "../api.js";
import { all, byId, count, counted, duration, el, number, show } from "../dom.js";

const EVERY_MS = 2000;
const GOING_ON = new Set(["preparing", "training", "comparing"]);
const STARTS = { shown: "the weights that the live view shows", packaged: "the weights that come with EndoForge" };
const STATES = { idle: "", preparing: "preparing", training: "training", comparing: "measuring both", done: "done", failed: "failed", stopped: "stopped" };

export class LearningPanel {
  constructor() {
    this.before = "";
    this.start = "";
    this.problem = "";
    this.poller = new Poller(() => this.#refresh(), EVERY_MS);
  }

  setActive(active) {
    this.poller.setActive(active);
  }

  async #refresh() {
    try {
      this.#show(await getJson("/api/learning"));
    } catch {
      // The runs beside it say that the server doesn't answer.
    }
  }

  #show(now) {
    const text = JSON.stringify([now, this.start, this.problem]);
    if (text === this.before) return;
    this.before = text;
    const isGoing = GOING_ON.has(now.state);
    const panel = byId("learning");
    const focused = all("button, select", panel).indexOf(document.activeElement);
    panel.replaceChildren(
      el("div", { class: "card-head" }, el("h2", { id: "h-learning" }, "Train on these"),
        el("span", { class: "badge", "data-state": badgeOf(now.state), hidden: now.state === "idle" }, STATES[now.state])),
      el("p", {}, `${counted(now.reviewed, "frame")} reviewed.`,
        now.frames_needed ? ` ${count(now.frames_needed)} more, and a detector can learn from them.` : ""),
      this.#choice(now, isGoing),
      el("div", { class: "buttons" },
        el("button", { class: "button primary changes", type: "button", disabled: isGoing || now.frames_needed > 0, onclick: () => this.#ask("start", { start: this.start || now.starts[0] }) }, "Train on these"),
        el("button", { class: "button danger changes", type: "button", disabled: !isGoing, onclick: () => this.#ask("stop", {}) }, "Stop")),
      el("p", { class: "error", role: "alert", hidden: !(this.problem || now.problem) }, this.problem || now.problem),
      isGoing ? this.#progress(now) : "",
      now.comparison ? comparison(now) : el("p", { class: "quiet" }, "A fifth of the frames is held out, whole runs where there are several. Both detectors are measured on them."));
    if (focused >= 0) all("button, select", panel)[focused]?.focus();
  }

  #choice(now, isGoing) {
    const options = now.starts.map((name) => el("option", { value: name, selected: name === this.start }, STARTS[name]));
    const select = el("select", { class: "button", disabled: isGoing, onchange: (event) => { this.start = event.target.value; } }, ...options);
    const field = el("label", { class: "learning-start" }, el("span", {}, "Begin with"), select);
    show(field, now.starts.length > 1);
    return field;
  }

  #progress(now) {
    const facts = [
      now.trained_on && `${counted(now.trained_on, "frame")} to learn from, ${count(now.held_out)} held out`,
      now.epoch && `epoch ${now.epoch} of ${now.epochs}`,
      now.loss && `loss ${number(now.loss, 3)}`,
      now.state === "training" && now.eta_s !== null && `${duration(now.eta_s)} left`,
    ].filter(Boolean);
    const bar = el("progress", { max: now.epochs ?? 1, "aria-label": "Training" });
    if (now.epoch) bar.value = now.epoch;
    return el("div", { role: "status" }, bar, el("p", { class: "quiet" }, facts.join(" · ") || "Choosing the frames"));
  }

  async #ask(what, body) {
    this.problem = "";
    try {
      this.#show(await postJson(`/api/learning/${what}`, body));
    } catch (error) {
      this.problem = error.message;
    }
    this.poller.now();
  }
}

function badgeOf(state) {
  return GOING_ON.has(state) ? "running" : state;
}

function comparison({ comparison: { boxes, threshold, old, new: fresh, frames }, held_out: heldOut, how, weights }) {
  const row = (name, pick, digits, fewerIsBetter = false) => {
    const [a, b] = [pick(old), pick(fresh)];
    const gain = fewerIsBetter ? a - b : b - a;
    const isKnown = a !== null && b !== null;
    return el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, number(a, digits)),
      el("td", { class: isKnown && gain > 0 ? "better" : isKnown && gain < 0 ? "worse" : "" }, number(b, digits)));
  };
  const picture = (place, which, caption) => el("figure", {},
    el("img", { src: `/api/learning/${place}/${which}.jpg?of=${encodeURIComponent(weights)}`, alt: caption, loading: "lazy", width: 320, height: 180 }),
    el("figcaption", {}, caption));
  const noPolyp = boxes ? null : el("p", { class: "warning", role: "alert" },
    `No polyp in the ${counted(heldOut, "frame")} held out, so nothing says which detector finds more. Review frames of another run, or some later in this one, and train again.`);
  return el("div", { class: "compared" }, noPolyp ?? "",
    el("table", {},
      el("thead", {}, el("tr", {}, el("td", {}), el("th", { scope: "col" }, "before"), el("th", { scope: "col" }, "after"))),
      el("tbody", {}, ...(boxes ? [row("AP50", (one) => one.ap50, 3), row("AP", (one) => one.ap, 3),
        row(`found of ${count(boxes)}`, (one) => one.found, 0)] : []), row("false boxes", (one) => one.false, 0, true))),
    el("p", { class: "quiet" }, `On ${counted(heldOut, "held-out frame")} (${how}); found and false at a score of ${threshold}. In the pictures, what is there is green, what was found blue, what is false amber.`),
    el("p", { class: "command" }, `endoforge detect --checkpoint ${weights} VIDEO`),
    el("div", { class: "compared-frames" }, ...frames.flatMap((frame, place) => [picture(place, "old", `Before: ${frame.old}`), picture(place, "new", `After: ${frame.new}`)])));
}
