/** Real pictures in the place of the simulator's: their clock, and what they lack. */

import { all, byId, clock, count, el, setText, show } from "./dom.js";

/** Controls and readings of a simulated world; of real pictures they mean nothing. */
const OF_WORLD = [
  '.controls [data-do="autopilot"]', '.controls [data-do="camera"]', "#steer-toggle", "#seed-form",
  "#place", "#truth-card", '[data-do="data_run"]', '[data-do="link"]',
].join(", ");

export class SourceView {
  constructor(page) {
    this.page = page;
    this.bar = byId("seek");
    this.choice = byId("source-choice");
    this.choice.addEventListener("change", () => {
      page.connection.send({ type: "source", place: Number(this.choice.value) });
      this.choice.blur(); // keys are the page's again
    });
    this.isHeld = false; // by the user, who drags it: it must not run away
    this.bar.addEventListener("input", () => {
      this.isHeld = true;
      seekTo(page, Number(this.bar.value));
    });
    this.bar.addEventListener("change", () => { this.isHeld = false; });
  }

  /** Show the part of the state that says where the pictures are from. */
  update({ source, world }) {
    for (const node of all(OF_WORLD)) show(node, !source);
    show(byId("source"), Boolean(source));
    show(byId("playbar"), Boolean(source) && !source.is_live);
    show(byId("speed"), !source?.is_live);
    if (!source) return;
    setText(byId("source-name"), source.name);
    this.#choices(source);
    setText(byId("source-state"), stateOf(source, world));
    show(byId("source-dropped"), source.is_live);
    setText(byId("source-dropped"), `${count(source.dropped)} dropped, since newer ones were there`);
    this.bar.max = String(Math.max(source.duration_s, world.time_s));
    if (!this.isHeld) this.bar.value = String(world.time_s);
    this.bar.setAttribute("aria-valuetext", `${clock(world.time_s)} of ${clock(source.duration_s)}`);
    setText(byId("seek-time"), `${clock(world.time_s)} / ${clock(source.duration_s)}`);
  }

  #choices({ choices, place }) {
    show(this.choice, choices.length > 1);
    show(byId("source-name"), choices.length < 2);
    const names = JSON.stringify(choices);
    if (this.choice.dataset.names !== names) {
      this.choice.dataset.names = names;
      this.choice.replaceChildren(...choices.map((name, i) => el("option", { value: String(i) }, name)));
    }
    if (document.activeElement !== this.choice) this.choice.value = String(place);
  }
}

function stateOf(source, world) {
  if (source.is_live) return `Live${world.paused ? ", paused" : ""}`;
  return `${clock(world.time_s)} of ${clock(source.duration_s)}${source.is_over ? ", at its end" : ""}`;
}

/** Go to a moment of a file, or by some seconds from where it is. */
export function seekTo(page, seconds) {
  if (page.state) page.state.world.time_s = seconds; // a second press before the answer goes on from here
  page.connection.send({ type: "seek", seconds });
}

export function seekBy(page, by) {
  if (page.state?.source) seekTo(page, Math.max(0, page.state.world.time_s + by));
}

/** Show the frame before (-1) or after (1). */
export function stepBy(page, by) {
  if (page.state?.source) page.connection.send({ type: "step", by });
}
