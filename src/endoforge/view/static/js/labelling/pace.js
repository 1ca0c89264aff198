/** How fast labels are reviewed, and how long the rest takes at that pace. */

/** A longer break isn't work. */
const LONGEST_MS = 60_000;
const SHOWN_AFTER = 3;

export class Pace {
  constructor() {
    this.clear();
  }

  clear() {
    this.frames = 0;
    this.boxes = 0;
    this.workMs = 0;
    this.last = null;
  }

  /** Work goes on: a frame was opened, or something was done to it. */
  touch(now = performance.now()) {
    if (this.last !== null) this.workMs += Math.min(now - this.last, LONGEST_MS);
    this.last = now;
  }

  /** A frame was confirmed. */
  confirm(boxes) {
    this.touch();
    this.frames += 1;
    this.boxes += boxes;
  }

  /** Boxes a minute, or null while that says little. */
  get boxesPerMinute() {
    return this.frames < SHOWN_AFTER ? null : (60_000 * this.boxes) / this.workMs;
  }

  /** Seconds for so many frames more, or null. */
  secondsFor(frames) {
    return this.frames < SHOWN_AFTER ? null : (frames * this.workMs) / this.frames / 1000;
  }
}
