/** All frames of a run as a strip of colours, where one is in it, and how far it has come. */

import { byId, count, duration, setText } from "../dom.js";

const COLOURS = { unlabelled: "#39424c", predicted: "#ffb454", reviewed: "#4fd1a5", given: "#7ab7ff", unreadable: "#ff8a80" };

/** Whether the truth of a frame is known. */
export const isDone = (note) => note.status === "reviewed" || note.status === "given";

export class FrameStrip {
  constructor(onPlace) {
    this.canvas = byId("label-strip");
    this.slider = byId("label-place");
    this.slider.addEventListener("change", () => onPlace(Number(this.slider.value)));
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
    this.frames = [];
  }

  update(frames, place, onlyChosen, pace) {
    [this.frames, this.onlyChosen] = [frames, onlyChosen];
    this.slider.max = String(frames.length - 1);
    this.slider.value = String(place);
    this.slider.setAttribute("aria-valuetext", `frame ${frames[place].frame_id}, ${place + 1} of ${frames.length}`);
    setText(byId("label-where"), `${count(place + 1)} / ${count(frames.length)}`);
    const counted = frames.filter((note) => !onlyChosen || note.chosen);
    const done = counted.filter(isDone).length;
    const speed = pace.boxesPerMinute;
    const left = counted.length - done;
    const seconds = pace.secondsFor(left);
    setText(byId("label-done"), `${count(done)} of ${count(counted.length)} ${onlyChosen ? "chosen" : "labelled"}`);
    setText(byId("label-pace"), speed === null ? "" : `${Math.round(speed)} boxes/min${left ? ` · ${duration(seconds)} left` : ""}`);
    this.#draw();
  }

  #draw() {
    const { canvas, frames } = this;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const pen = canvas.getContext("2d");
    const each = canvas.width / Math.max(1, frames.length);
    frames.forEach((note, i) => {
      pen.globalAlpha = this.onlyChosen && !note.chosen ? 0.25 : 1;
      pen.fillStyle = COLOURS[note.status];
      const gap = each > 4 * ratio ? ratio : 0;
      pen.fillRect(i * each, 0, Math.max(each - gap, 0.5), canvas.height);
    });
  }
}
