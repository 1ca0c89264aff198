/** The tabs. The address keeps which is in front. */

import { byId } from "./dom.js";

const NAMES = ["live", "training", "labels"];

export class Tabs {
  constructor(onChange) {
    this.onChange = onChange;
    this.current = null;
    for (const name of NAMES) {
      byId(`tab-${name}`).addEventListener("click", () => this.select(name));
      byId(`tab-${name}`).addEventListener("keydown", (event) => this.#arrow(event, name));
    }
    window.addEventListener("hashchange", () => this.select(this.#fromAddress()));
  }

  /** Show the tab that the address names. */
  start() {
    this.select(this.#fromAddress());
  }

  select(name) {
    if (name === this.current) return;
    this.current = name;
    for (const each of NAMES) {
      const tab = byId(`tab-${each}`);
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
      byId(`panel-${each}`).hidden = each !== name;
    }
    if (name !== this.#fromAddress()) history.replaceState(null, "", name === "live" ? location.pathname : `#${name}`);
    this.onChange(name);
  }

  #fromAddress() {
    const name = location.hash.slice(1);
    return NAMES.includes(name) ? name : "live";
  }

  #arrow(event, name) {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const by = event.key === "ArrowLeft" ? -1 : 1;
    const other = NAMES[(NAMES.indexOf(name) + by + NAMES.length) % NAMES.length];
    this.select(other);
    byId(`tab-${other}`).focus();
  }
}
