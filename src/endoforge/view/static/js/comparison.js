/** Which weights detect, and a second detector that is compared with the first one. */

import { byId, count, el, number, setText, show } from "./dom.js";

const NONE = "none";
const HEURISTIC = "heuristic";
const NAMES = { first: "First", second: "Second" };

export class ComparisonView {
  constructor(page) {
    this.page = page;
    page.whose = "first"; // the detector that thresholds are moved of, on this page
    this.first = byId("weights-choice");
    this.second = byId("second-choice");
    this.first.addEventListener("change", () => {
      page.connection.send({ type: "weights", name: this.first.value });
      this.first.blur(); // keys are the page's again
    });
    this.second.addEventListener("change", () => {
      const name = this.second.value === NONE ? null : this.second.value;
      page.connection.send({ type: "second", name });
      this.second.blur();
    });
  }

  /** Show the part of the state that is about detectors. */
  update({ detector }) {
    const { choices, chosen, second } = detector;
    fill(this.first, chosen === HEURISTIC ? [chosen, ...choices] : choices, chosen);
    fill(this.second, [NONE, ...choices, HEURISTIC], second?.name ?? NONE);
    if (!second) this.page.whose = "first";
    this.#thresholds(detector);
    document.body.classList.toggle("compares", Boolean(second));
    setText(byId("second-name"), second?.at_work ?? NONE);
    byId("second-name").title = second?.at_work ?? "";
    for (const id of ["second-note", "whose-row", "second-counts"]) show(byId(id), Boolean(second));
    show(byId("second-error"), Boolean(second?.error));
    if (!second) return;
    setText(byId("second-error"), second.error ?? "");
    setText(byId("second-found"), `${count(second.count)} found in ${number(second.ms_median)} ms.`);
    const { since_reset: counts } = second;
    for (const name of ["tp", "fp", "fn"]) setText(byId(`second-${name}`), count(counts[name]));
    setText(byId("second-precision"), number(counts.precision, 2));
    setText(byId("second-recall"), number(counts.recall, 2));
  }

  /** Let the keys and buttons of thresholds move those of the other detector. */
  switchWhose() {
    if (!this.page.state?.detector.second) {
      this.page.events.add({ level: "info", text: "There is no second detector: the card of the detector chooses one" });
      return;
    }
    this.page.whose = this.page.whose === "first" ? "second" : "first";
    this.#thresholds(this.page.state.detector);
  }

  #thresholds(detector) {
    const { whose } = this.page;
    const shown = whose === "first" ? detector : detector.second;
    setText(byId("whose"), NAMES[whose]);
    byId("whose-row").dataset.whose = whose;
    setText(byId("objectness"), number(shown.objectness, 2));
    setText(byId("iou"), number(shown.iou, 2));
  }
}

/** Give a list these options, and the chosen one of them. */
function fill(select, names, chosen) {
  const text = JSON.stringify(names);
  if (select.dataset.names !== text) {
    select.dataset.names = text;
    select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  }
  if (document.activeElement !== select) select.value = chosen;
}
