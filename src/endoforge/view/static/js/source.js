/** Real pictures in the place of the simulator's: where they are from, and what they lack. */

import { all, byId, clock, count, el, setText, show } from "./dom.js";

/** Controls and readings of a simulated world; of real pictures they mean nothing. */
const OF_WORLD = [
  '.controls [data-do="autopilot"]', '.controls [data-do="camera"]', "#steer-toggle", "#seed-form",
  "#place", "#truth-card", '[data-do="data_run"]', '[data-do="link"]',
].join(", ");

export class SourceView {
  constructor(page) {
    this.choice = byId("source-choice");
    this.choice.addEventListener("change", () => {
      page.connection.send({ type: "source", place: Number(this.choice.value) });
      this.choice.blur(); // keys are the page's again
    });
  }

  /** Show the part of the state that says where the pictures are from. */
  update({ source, sources, source_place: place, world }) {
    for (const node of all(OF_WORLD)) show(node, !source);
    show(byId("source"), sources.length > 1);
    show(byId("source-about"), Boolean(source));
    this.#choices(sources, place);
    show(byId("speed"), !source?.is_live);
    if (!source) return;
    setText(byId("source-state"), stateOf(source, world));
    show(byId("source-dropped"), source.is_live);
    setText(byId("source-dropped"), `${count(source.dropped)} dropped, since newer ones were there`);
  }

  #choices(choices, place) {
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
