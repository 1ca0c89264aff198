/** A clip or a camera that is looked at while it plays: of its frames always the newest.
 *
 * A frame is shown once it was looked at, with its own boxes. */

const UNDECODABLE = "this browser can't decode this clip";
const PATIENCE = 15_000; // milliseconds until a clip has shown a picture, or never will
const RECENT = 2000; // milliseconds over which the speed is told

class Clip {
  looked = 0;
  lastTime = 0; // of the newest frame, in seconds: the video's own clock runs on without pictures
  found = [];

  #detector;
  #shown; // called when another frame was looked at
  #video;
  #canvas = document.createElement("canvas");
  #newest = null; // the frame that waits or is looked at
  #first = null;
  #presented = 0; // by the browser, which itself leaves frames out when it is late
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
    release(this.#video);
  }

  /** Frames looked at in a second, of late; null before there are two. */
  get speed() {
    const [first, last] = [this.#times[0], this.#times.at(-1)];
    return this.#times.length < 2 ? null : ((this.#times.length - 1) * 1000) / (last - first);
  }

  /** How many frames were shown while others were looked at. */
  get passedOver() {
    return this.#presented - this.looked - (this.#newest ? 1 : 0);
  }

  #await() {
    this.#video.requestVideoFrameCallback((_, frame) => {
      if (this.#closed) return;
      this.#await();
      this.#first ??= frame.presentedFrames - 1;
      this.#presented = frame.presentedFrames - this.#first;
      const idle = this.#newest === null;
      this.#newest = frame;
      this.lastTime = frame.mediaTime;
      if (idle) this.#look();
    });
  }

  async #look() {
    while (this.#newest && !this.#closed) {
      const frame = this.#newest;
      const { videoWidth: width, videoHeight: height } = this.#video;
      try {
        const pixels = pixelsOf(this.#video, width, height, this.#canvas);
        this.found = (await this.#detector.detect(pixels)).found;
      } catch (fault) {
        if (!this.#closed) showFault(`This frame can't be looked at: ${fault.message}.`);
        return;
      }
      if (this.#closed) return;
      this.looked += 1;
      if (this.#newest === frame) this.#newest = null;
      const now = performance.now();
      this.#times = [...this.#times, now].filter((time) => now - time < RECENT);
      showPicture(this.#canvas, width, height);
      this.#shown();
    }
  }
}

/** Let go of a video: its camera is switched off, its file closed. */
function release(video) {
  video.pause();
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.srcObject = null;
}

/** Open a video that plays without sound and isn't seen itself; throws what the browser says. */
async function opened(source) {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  if (source instanceof MediaStream) video.srcObject = source;
  else video.src = URL.createObjectURL(source);
  await new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", resolve, { once: true });
    video.addEventListener("error", () => reject(new Error(UNDECODABLE)));
    setTimeout(() => reject(new Error(UNDECODABLE)), PATIENCE);
  });
  if (!video.videoWidth) throw new Error("this clip has no pictures that this browser can decode");
  return video;
}
