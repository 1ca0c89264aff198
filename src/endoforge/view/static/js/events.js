/** What happened: toasts for now, a log for later. */

import { byId, el, setProse, setText } from "./dom.js";

const MOST_LINES = 200;
const MOST_TOASTS = 3;
const SHOWN_MS = { info: 4000, warning: 8000, error: 12000 };

export class EventLog {
  constructor() {
    this.list = byId("log-list");
    this.toasts = byId("toasts");
    this.total = 0;
    this.#empty();
  }

  /** Start again: a new connection sends the last events again. */
  clear() {
    this.total = 0;
    setText(byId("log-count"), "0");
    this.#empty();
  }

  /** Add a line; `fresh` ones are shown as a toast, too. */
  add({ level, text }, fresh = true) {
    if (!this.total) this.list.replaceChildren();
    this.total += 1;
    setText(byId("log-count"), String(this.total));
    const stamp = fresh ? new Date().toLocaleTimeString("en-GB") : "earlier";
    const words = el("span");
    setProse(words, text);
    this.list.prepend(el("li", { class: level }, el("time", {}, stamp), words));
    while (this.list.children.length > MOST_LINES) this.list.lastChild.remove();
    if (fresh) this.#toast(level, text);
  }

  #empty() {
    this.list.replaceChildren(el("li", {}, el("span", { class: "quiet" }, "Nothing yet.")));
  }

  #toast(level, text) {
    const toast = el("div", { class: `toast ${level}` });
    setProse(toast, text);
    this.toasts.append(toast);
    while (this.toasts.children.length > MOST_TOASTS) this.toasts.firstChild.remove();
    setTimeout(() => toast.remove(), SHOWN_MS[level] ?? SHOWN_MS.info);
  }
}
