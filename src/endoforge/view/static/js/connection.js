/** The WebSocket to the simulator: opens, opens again when it is lost, and says how it stands. */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const SILENT_MS = 5000;
const TOO_SILENT_MS = 15000;
/** What the server closes with when it ends as it was asked to. */
const ENDS = 1012;

export class Connection {
  /** `on` holds the listeners: link(state, seconds, ended), hello, state, event and frame(buffer). */
  constructor(on) {
    this.on = on;
    this.socket = null;
    this.ended = false;
    this.onlyWatches = false; // then nothing but acknowledgements is taken
    this.wait = FIRST_WAIT_MS;
    this.retryAt = 0;
    this.heardAt = 0;
    setInterval(() => this.#watch(), 500);
  }

  open() {
    this.retryAt = 0;
    this.on.link("connecting", 0, this.ended);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onclose = ({ code }) => {
      if (code === ENDS) this.ended = true;
      this.#lost(socket);
    };
    this.heardAt = performance.now();
    this.socket = socket;
  }

  /** Don't wait for the next try. */
  retryNow() {
    if (this.retryAt) this.open();
  }

  send(message) {
    if (this.onlyWatches && message.type !== "ack") return;
    this.sendText(JSON.stringify(message));
  }

  sendText(text) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
  }

  #receive(data) {
    this.heardAt = performance.now();
    if (data instanceof ArrayBuffer) {
      this.on.frame(data);
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "hello") {
      this.wait = FIRST_WAIT_MS;
      this.ended = false;
      this.on.link("open");
    }
    this.on[message.type]?.(message);
  }

  #lost(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    this.retryAt = performance.now() + this.wait;
    this.on.link("lost", this.wait / 1000, this.ended);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
  }

  #watch() {
    const now = performance.now();
    if (this.retryAt) {
      if (now >= this.retryAt) this.open();
      else this.on.link("lost", (this.retryAt - now) / 1000, this.ended);
      return;
    }
    const silent = now - this.heardAt;
    const socket = this.socket;
    if (silent > TOO_SILENT_MS && socket) {
      this.#lost(socket);
      socket.close();
    } else if (socket?.readyState === WebSocket.OPEN) {
      this.on.link(silent > SILENT_MS ? "silent" : "open", silent / 1000);
    }
  }
}
