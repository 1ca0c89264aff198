/** Undo and redo, over all frames of a run. */

const MOST = 500;

export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.done = [];
    this.undone = [];
  }

  /** Note a change of a frame: its drafts before and after, and what was done, in words. */
  note(change) {
    this.done.push(change);
    if (this.done.length > MOST) this.done.shift();
    this.undone = [];
  }

  /** The change to take back, or undefined. */
  back() {
    const change = this.done.pop();
    if (change) this.undone.push(change);
    return change;
  }

  /** The change to make again, or undefined. */
  again() {
    const change = this.undone.pop();
    if (change) this.done.push(change);
    return change;
  }
}
