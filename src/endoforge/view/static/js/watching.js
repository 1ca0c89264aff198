/** A page that may only watch: what it may not do is hidden, and said. */

import { all } from "./dom.js";

/** What changes nothing for others. */
const HARMLESS = new Set(["live", "training", "labels", "help", "log", "boxes", "save_picture", "full_screen"]);
const REFUSAL = "This address is for watching only";

export class Watching {
  constructor(events) {
    this.events = events;
    this.only = false;
    for (const button of all("[data-do]")) {
      button.classList.toggle("changes", !HARMLESS.has(button.dataset.do));
    }
  }

  /** As the server says at the beginning of a connection. */
  set(only) {
    this.only = only;
    document.body.classList.toggle("watches", only);
    for (const control of all("#seek, .choice select, #source-choice")) control.disabled = only;
  }

  /** Whether an action may be done; else it is said why not. */
  allows(action) {
    if (!this.only || HARMLESS.has(action)) return true;
    this.events.add({ level: "warning", text: REFUSAL });
    return false;
  }
}
