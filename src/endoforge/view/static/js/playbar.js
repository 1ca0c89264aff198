/** The bar of the flight's time, or the file's: seeking, single frames, and a loop between two marks. */

import { byId, clock, setText, show } from "./dom.js";

const LOOP_WORDS = {
  none: ["Loop", "Loop: mark its beginning here"],
  begun: ["Loop to…", "Loop: mark its end here"],
  whole: ["Looping", "Loop: end it"],
};

export class Playbar {
  constructor(page) {
    this.bar = byId("seek");
    this.isHeld = false; // by the user, who drags it: it must not run away
    this.bar.addEventListener("input", () => {
      this.isHeld = true;
      page.connection.send({ type: "seek", seconds: Number(this.bar.value) });
    });
    this.bar.addEventListener("change", () => { this.isHeld = false; });
  }

  /** Show the part of the state that says which moment is shown. */
  update({ source, world }) {
    show(byId("playbar"), !source?.is_live);
    for (const id of ["frame-back", "frame-on"]) show(byId(id), Boolean(source));
    const { place_s: place, duration_s: duration, loop } = world;
    this.bar.max = String(Math.max(duration, place));
    if (!this.isHeld) this.bar.value = String(place);
    const words = `${clock(place)} of ${clock(duration)}`;
    this.bar.setAttribute("aria-valuetext", words);
    setText(byId("seek-time"), `${clock(place)} / ${clock(duration)}`);
    this.#loop(loop, Math.max(duration, place));
  }

  #loop(loop, duration) {
    const stage = !loop ? "none" : loop.end_s === null ? "begun" : "whole";
    const [word, title] = LOOP_WORDS[stage];
    const button = byId("loop");
    setText(button.firstElementChild, word);
    button.title = title;
    button.setAttribute("aria-label", title);
    button.setAttribute("aria-pressed", String(stage !== "none"));
    const marks = byId("loop-marks");
    show(marks, stage !== "none" && duration > 0);
    marks.dataset.stage = stage;
    if (!loop || !duration) return;
    marks.style.setProperty("--begin", String(loop.begin_s / duration));
    marks.style.setProperty("--end", String((loop.end_s ?? loop.begin_s) / duration));
  }
}

/** Go by some seconds from where the server is: a state that is shown here may be older than the press before. */
export function seekBy(page, seconds) {
  page.connection.send({ type: "seek_by", seconds });
}

/** Show the frame before (-1) or after (1). */
export function stepBy(page, by) {
  page.connection.send({ type: "step", by });
}
