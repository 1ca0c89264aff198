/** The detector as the page asks it: one worker, which answers each task by its number. */

class DetectorWorker {
  /** Start it; resolves when it is ready for pictures. */
  static async start(facts) {
    const [code, runtime, model] = await Promise.all(["worker", "runtime", "model"].map(unpacked));
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const started = new DetectorWorker(new Worker(address));
    await started.#ask({ load: { runtime, model, facts } }, [runtime, model]);
    return started;
  }

  #worker;
  #waiting = new Map();
  #tasks = 0;

  constructor(worker) {
    this.#worker = worker;
    worker.addEventListener("message", ({ data }) => this.#settle(data));
    worker.addEventListener("error", (event) => {
      const fault = event.message || "the browser didn't start it";
      for (const task of this.#waiting.keys()) this.#settle({ task, fault });
    });
  }

  /** Its {found, milliseconds} of a picture, whose pixels it takes over; throws what it says. */
  detect(picture) {
    const { width, height, data } = picture;
    return this.#ask({ picture: { width, height, data } }, [data.buffer]);
  }

  #ask(message, transfer) {
    const task = ++this.#tasks;
    return new Promise((resolve, reject) => {
      this.#waiting.set(task, { resolve, reject });
      this.#worker.postMessage({ task, ...message }, transfer);
    });
  }

  #settle({ task, fault, ...answer }) {
    const { resolve, reject } = this.#waiting.get(task);
    this.#waiting.delete(task);
    if (fault === undefined) resolve(answer);
    else reject(new Error(fault));
  }
}
