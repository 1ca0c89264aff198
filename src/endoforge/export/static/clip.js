/** A clip or a camera that is looked at while it plays: of its frames always the newest.
 *
 * A frame is shown once it was looked at, with its own boxes. */

const RECENT = 20; // frames of which the speed is told

class Clip {
  looked = 0;
  passedOver = 0;
  found = [];

  #detector;
  #shown; // called with each frame's detections
  #video;
  #canvas = document.createElement("canvas");
  #newest = null;
  #last = null;
  #times = [];
  #closed = false;

  constructor(video, detector, shown) {
    this.#video = video;
    this.#detector = detector;
    this.#shown = shown;
    this.#await();
  }

  close() {
    this.#closed = true;
    this.#video.pause();
    for (const track of this.#video.srcObject?.getTracks() ?? []) track.stop();
    if (this.#video.src) URL.revokeObjectURL(this.#video.src);
    this.#video.removeAttribute("src");
    this.#video.srcObject = null;
  }

  /** Frames looked at in a second, of late; null before there are two. */
  get speed() {
    const [first, last] = [this.#times[0], this.#times.at(-1)];
    return this.#times.length < 2 ? null : ((this.#times.length - 1) * 1000) / (last - first);
  }

  #await() {
    this.#video.requestVideoFrameCallback((_, frame) => {
      if (this.#closed) return;
      this.#await();
      this.#count(frame);
      const idle = this.#newest === null;
      this.#newest = frame;
      if (idle) this.#look();
    });
  }

  /** Frames that were skipped by the browser, or shown while another was looked at. */
  #count(frame) {
    const presented = frame.presentedFrames - (this.#last ?? frame.presentedFrames - 1);
    this.#last = frame.presentedFrames;
    this.passedOver += presented;
  }

  async #look() {
    while (this.#newest && !this.#closed) {
      const frame = this.#newest;
      const { videoWidth: width, videoHeight: height } = this.#video;
      const time = this.#video.srcObject ? null : frame.mediaTime;
      try {
        const pixels = pixelsOf(this.#video, width, height, this.#canvas);
        this.found = (await this.#detector.detect(pixels)).found;
      } catch (fault) {
        if (!this.#closed) showFault(`This frame can't be looked at: ${fault.message}.`);
        return;
      }
      if (this.#closed) return;
      this.looked += 1;
      this.passedOver -= 1;
      this.#times = [...this.#times, performance.now()].slice(-RECENT);
      showPicture(this.#canvas, width, height);
      this.#shown(time);
      if (this.#newest === frame) this.#newest = null;
    }
  }
}

/** Open a video that plays without sound and isn't seen itself; throws what the browser says. */
async function opened(source) {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  if (source instanceof MediaStream) video.srcObject = source;
  else video.src = URL.createObjectURL(source);
  await new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", resolve, { once: true });
    video.addEventListener("error", () => reject(new Error("this browser can't decode this clip")));
  });
  if (!video.videoWidth) throw new Error("this clip has no pictures that this browser can decode");
  return video;
}
