/** From the bytes of a frame message to a picture on the canvas, one after another. */

/** The header and the JPEG of a binary message. */
export function parseFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { header, jpeg: new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" }) };
}

/**
 * Decodes and paints. A frame is acknowledged once it was painted, so that a hidden page, which
 * paints nothing, is sent nothing.
 */
export class FramePlayer {
  constructor(painter, acknowledge) {
    this.painter = painter;
    this.acknowledge = acknowledge;
    this.queue = [];
    this.busy = false;
    this.active = true;
  }

  receive(buffer) {
    this.queue.push(buffer);
    this.#work();
  }

  /** Paint (or not, while the view is out of sight). */
  setActive(active) {
    this.active = active;
    this.#work();
  }

  /** Forget what a lost connection left. */
  clear() {
    this.queue = [];
  }

  async #work() {
    if (this.busy) return;
    this.busy = true;
    while (this.active && this.queue.length) await this.#play(this.queue.shift());
    this.busy = false;
  }

  async #play(buffer) {
    const { header, jpeg } = parseFrame(buffer);
    try {
      const bitmap = await createImageBitmap(jpeg);
      await new Promise(requestAnimationFrame);
      this.painter.show(bitmap, header);
    } catch (error) {
      console.warn(`frame ${header.frame} can't be decoded`, error);
    }
    this.acknowledge(header.frame);
  }
}
