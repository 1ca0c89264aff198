/** How the connection stands: the mark in the header, and a veil over a view that stands still. */

import { byId, setText, show } from "./dom.js";

const WORDS = { connecting: "Connecting", open: "Connected", silent: "Silent", lost: "Reconnecting", ended: "Ended" };

export class LinkView {
  constructor() {
    this.mark = byId("link");
    this.hadPicture = false;
    this.state = "connecting";
    this.failures = 0;
    this.trouble = null;
    this.source = null;
    this.waitsFor = "The first picture comes as soon as the colon is ready.";
  }

  /** Something else is shown from now on: what is on the canvas is of before. */
  expectPicture() {
    this.hadPicture = false;
    if (this.state === "open") this.update("open");
  }

  /** What the state says about why there is no picture yet. */
  preparing({ renderer }) {
    if (this.hadPicture) return;
    this.waitsFor = renderer === "starting"
      ? "The renderer is being prepared: seconds, or the first time a minute."
      : "The first picture is on its way.";
  }

  /** Why no new pictures come, of the simulator or of a source, though it answers; or null. */
  setTrouble(trouble, source) {
    this.trouble = trouble;
    this.source = source;
    if (this.state === "open") this.update("open");
  }

  /** `ended`: the simulator said that it ends, before the connection was lost. */
  update(state, seconds = 0, ended = false) {
    if (state === "open") this.failures = 0;
    if (state === "lost" && this.state !== "lost") this.failures += 1;
    // While a retry is under way after a loss, the words about the loss stay.
    const shown = state === "connecting" && this.failures ? "lost" : state;
    this.mark.dataset.state = document.body.dataset.link = shown;
    setText(this.mark.lastElementChild, WORDS[ended ? "ended" : shown]);
    if (ended) this.#veil("The simulator has ended", "This page goes on when endoforge sim-view is started again.", true);
    else if (shown === "lost") this.#lost(state === "lost" ? Math.ceil(seconds) : 0);
    else if (shown === "silent") this.#veil("Nothing heard from the simulator", `for ${Math.round(seconds)} s. Waiting.`);
    else if (this.trouble && (this.hadPicture || this.source)) this.#veil(this.#standing(), `${this.trouble[0].toUpperCase()}${this.trouble.slice(1)}.`);
    else if (this.hadPicture) show(byId("veil"), false);
    else if (shown === "open") this.#veil("Waiting for a picture", this.waitsFor);
    this.state = state;
  }

  /** A picture of this connection is on the canvas. */
  pictureShown() {
    this.hadPicture = true;
    if (this.state === "open" && !this.trouble) show(byId("veil"), false);
  }

  #standing() {
    return this.source ? `No new picture from ${this.source.name}` : "The picture stands still";
  }

  #lost(seconds) {
    const when = seconds ? `Trying again in ${seconds} s.` : "Trying again.";
    const ask = this.failures > 2 ? " Is endoforge sim-view still running?" : "";
    this.#veil("Connection lost", when + ask, true);
  }

  #veil(title, text, retry = false) {
    setText(byId("veil-title"), title);
    setText(byId("veil-text"), text);
    show(byId("retry"), retry);
    show(byId("veil"), true);
  }
}
