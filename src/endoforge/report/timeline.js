/** Draws each `.timeline` of the page from the JSON in it: see report/timeline.py. */
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const LANE_HEIGHT = 100; // of a lane's own coordinates, which are stretched

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** 83.42 seconds as 1:23.42, or with fewer digits behind the point. */
function clock(seconds, digits = 2) {
  const parts = 10 ** digits;
  const whole = Math.round(seconds * parts);
  const minutes = Math.floor(whole / parts / 60);
  const rest = (whole - minutes * 60 * parts) / parts;
  return `${minutes}:${rest.toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}

function picture(still, alt) {
  return make("img", { src: `data:image/jpeg;base64,${still.jpeg}`, alt });
}

/** A thumbnail that is drawn up to the box in it. */
function closeUp(still) {
  const image = picture(still, "");
  if (still.box) {
    const [x0, y0, x1, y1] = still.box;
    const scale = Math.min(Math.max(0.5 / Math.max(x1 - x0, y1 - y0), 1), 4);
    image.style.transform = `scale(${scale})`;
    image.style.transformOrigin = `${50 * (x0 + x1)}% ${50 * (y0 + y1)}%`;
  }
  return make("span", { class: "thumb" }, image);
}

class Timeline {
  constructor(root) {
    this.root = root;
    this.clip = JSON.parse(root.querySelector("script").textContent);
    this.length = Math.max(this.clip.end - this.clip.begin, 1e-3);
    this.lanes = new Map();
    this.open = null;
    root.append(this.scale(), this.overview());
    if (this.clip.lesions) root.append(...this.truth());
    root.append(...this.tracks());
    if (this.clip.tracks.length) root.append(this.table());
    root.addEventListener("keydown", (event) => this.key(event));
  }

  /** Where a moment lies, 0 to 1. */
  at(seconds) {
    return (seconds - this.clip.begin) / this.length;
  }

  scale() {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
    const most = Math.max(2, this.root.clientWidth / 100);
    const step = steps.find((one) => this.length / one <= most) ?? 7200;
    const ticks = make("div", { class: "ticks" });
    const first = Math.ceil(this.clip.begin / step - 1e-6) * step;
    for (let time = first; time <= this.clip.end + 1e-6; time += step) {
      const place = this.at(time);
      const tick = make("span", { style: `left: ${place * 100}%` }, clock(time, step < 1 ? 1 : 0));
      if (place > 0.96) tick.className = "last";
      ticks.append(tick);
    }
    return make("div", { class: "scale", "aria-hidden": "true" }, make("span"), ticks);
  }

  /** The whole clip as a bar: when anything was shown, above when anything could be seen. */
  overview() {
    const svg = this.canvas();
    const { lesions, tracks } = this.clip;
    for (const lane of lesions ?? []) {
      for (const span of lane.visible) svg.append(this.bar(span, 62, 24, "var(--green)", 0.55));
    }
    for (const track of tracks) {
      const color = track.verdict === 0 ? "var(--amber)" : "var(--blue)";
      svg.append(this.bar([track.begin, track.end], lesions ? 16 : 26, lesions ? 30 : 48, color, 0.8));
    }
    const who = make("span", { class: "who" }, lesions ? "tracks, and polyps in sight" : "all tracks");
    return make("div", { class: "lane overview" }, who, make("div", { class: "when" }, svg));
  }

  truth() {
    const lanes = this.clip.lesions.map((lane) => this.lesion(lane));
    const found = this.clip.lesions.filter((lane) => lane.first_found !== null).length;
    const heading = make("h3", {}, `Polyps in sight: ${found} of ${lanes.length} found`);
    return [heading, ...lanes];
  }

  lesion(lane) {
    const svg = this.canvas();
    for (const span of lane.visible) svg.append(this.bar(span, 30, 40, "var(--green)", 0.4));
    for (const span of lane.found) svg.append(this.bar(span, 30, 40, "var(--blue)", 0.95));
    let fate = make("span", { class: "chip missed" }, "missed");
    if (lane.first_found !== null) {
      const delay = lane.first_found - lane.visible[0][0];
      fate = make("span", { class: "chip true" }, `after ${Math.max(delay, 0).toFixed(2)} s`);
    }
    const text = make("span", {}, make("b", {}, `Polyp ${lane.number} `, fate), make("small", {}, lane.what));
    const when = make("div", { class: "when" }, svg);
    return make("div", { class: "lane lesion" }, make("div", { class: "who" }, text), when);
  }

  tracks() {
    const { tracks } = this.clip;
    const heading = make("h3", {}, tracks.length ? `Tracks: ${tracks.length}` : "Tracks");
    if (!tracks.length) return [heading, make("p", { class: "none" }, "No track was confirmed.")];
    return [heading, ...tracks.flatMap((track) => this.track(track))];
  }

  track(track) {
    const svg = this.canvas();
    const color = track.verdict === 0 ? "var(--amber)" : "var(--blue)";
    svg.append(...this.curve(track, color));
    const range = `${clock(track.begin, 1)} to ${clock(track.end, 1)}`;
    const name = make("b", {}, `Track ${track.number} `, ...this.verdict(track));
    const facts = make("small", {}, `${track.label}, peak ${track.peak.toFixed(2)}`);
    const who = make("span", { class: "who" }, closeUp(track.best), make("span", {}, name, make("small", {}, range), facts));
    const when = make("span", { class: "when" }, svg);
    const lane = make("button", { class: "lane", type: "button", "aria-expanded": "false" }, who, when);
    const detail = make("div", { class: "detail", hidden: "" });
    lane.addEventListener("click", (event) => {
      const box = when.getBoundingClientRect();
      const inside = event.detail && event.clientX >= box.left && event.clientX <= box.right;
      const time = inside ? this.clip.begin + ((event.clientX - box.left) / box.width) * this.length : null;
      this.choose(track.number, time);
    });
    this.follow(when, track);
    this.lanes.set(track.number, { track, lane, detail, place: 0 });
    return [lane, detail];
  }

  verdict(track) {
    if (track.verdict === null) return [];
    const right = track.verdict > 0;
    return [make("span", { class: `chip ${right}` }, right ? `polyp ${track.verdict}` : "false alarm")];
  }

  /** The area below the scores; pale where the track was carried through a gap. */
  curve(track, color) {
    const y = (score) => LANE_HEIGHT - 8 - score * (LANE_HEIGHT - 16);
    const parts = [];
    let part = null;
    for (const [seconds, score, matched] of track.points) {
      const point = [this.at(seconds) * 1000, y(score)];
      if (part && part.matched !== matched) part.points.push(point);
      if (!part || part.matched !== matched) parts.push((part = { matched, points: [] }));
      part.points.push(point);
    }
    const shapes = [this.bar([track.begin, track.end], LANE_HEIGHT - 8, 3, color, 0.9)];
    for (const { matched, points } of parts) {
      const line = points.map(([x, high]) => `${x.toFixed(2)},${high.toFixed(1)}`).join(" L");
      const base = LANE_HEIGHT - 8;
      const area = `M${points[0][0].toFixed(2)},${base} L${line} L${points.at(-1)[0].toFixed(2)},${base} Z`;
      shapes.push(draw("path", { d: area, fill: color, opacity: matched ? 0.35 : 0.12 }));
      shapes.push(draw("path", {
        d: `M${line}`, fill: "none", stroke: color, "stroke-width": 1.5, "vector-effect": "non-scaling-stroke",
        "stroke-dasharray": matched ? "none" : "3 3",
      }));
    }
    return shapes;
  }

  canvas() {
    return draw("svg", { viewBox: `0 0 1000 ${LANE_HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  }

  bar([begin, end], top, height, color, opacity) {
    const left = this.at(begin) * 1000;
    const width = Math.max(this.at(end) * 1000 - left, 1.5); // a moment is seen too
    return draw("rect", { x: left, y: top, width, height, fill: color, opacity });
  }

  /** A line below the pointer that tells the time and the score there. */
  follow(when, track) {
    const text = make("span");
    const cursor = make("div", { class: "cursor", hidden: "" }, text);
    when.append(cursor);
    when.addEventListener("pointermove", (event) => {
      const box = when.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      const time = this.clip.begin + share * this.length;
      const near = track.points.reduce((best, one) => (Math.abs(one[0] - time) < Math.abs(best[0] - time) ? one : best));
      const on = time >= track.begin && time <= track.end;
      text.textContent = on ? `${clock(time)}  score ${near[1].toFixed(2)}` : clock(time);
      cursor.style.left = `${share * 100}%`;
      cursor.classList.toggle("left", share > 0.7);
      cursor.hidden = false;
    });
    when.addEventListener("pointerleave", () => (cursor.hidden = true));
  }

  /** Open a track's stills at the one nearest to a time, or at its best; close it if it is open. */
  choose(number, time = null) {
    const entry = this.lanes.get(number);
    if (this.open === number && time === null) return this.close();
    if (this.open !== null && this.open !== number) this.close();
    const { stills, best } = entry.track;
    const wanted = time ?? best.seconds;
    const away = stills.map((still) => Math.abs(still.seconds - wanted));
    entry.place = away.indexOf(Math.min(...away));
    this.open = number;
    entry.lane.setAttribute("aria-expanded", "true");
    entry.detail.hidden = false;
    this.show(entry);
  }

  close() {
    const entry = this.lanes.get(this.open);
    this.open = null;
    entry.lane.setAttribute("aria-expanded", "false");
    entry.detail.hidden = true;
    entry.detail.replaceChildren();
  }

  show(entry) {
    const { track, detail, place } = entry;
    const still = track.stills[place];
    const score = still.score === null ? "no track shown" : `score ${still.score.toFixed(2)}`;
    const words = `${clock(still.seconds)}: ${score}`;
    const move = (by) => () => this.step(entry, by, true);
    const back = make("button", { type: "button", "aria-label": "earlier still" }, "\u2190 earlier");
    const on = make("button", { type: "button", "aria-label": "later still" }, "later \u2192");
    back.disabled = place === 0;
    on.disabled = place === track.stills.length - 1;
    back.addEventListener("click", move(-1));
    on.addEventListener("click", move(1));
    const said = make("p", { "aria-live": "polite" }, `Still ${place + 1} of ${track.stills.length}, ${words}`);
    const side = make("div", { class: "side" }, said, make("div", { class: "steps" }, back, on), this.strip(entry));
    detail.replaceChildren(this.shot(still, words), side);
  }

  shot(still, words) {
    const svg = draw("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
    const frame = ([x0, y0, x1, y1], color) => {
      const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
      const line = { fill: "none", stroke: color, "stroke-width": 2.5, "vector-effect": "non-scaling-stroke" };
      svg.append(draw("rect", { ...place, ...line }));
    };
    for (const box of still.truth) frame(box, "var(--green)");
    if (still.box) frame(still.box, "var(--blue)");
    return make("div", { class: "shot" }, picture(still, words), svg);
  }

  strip(entry) {
    const thumbs = entry.track.stills.map((still, place) => {
      const time = clock(still.seconds);
      const thumb = make("button", { type: "button", "aria-label": `still at ${time}` }, picture(still, ""), make("span", {}, time));
      if (place === entry.place) thumb.setAttribute("aria-current", "true");
      thumb.addEventListener("click", () => this.step(entry, place - entry.place));
      return thumb;
    });
    return make("div", { class: "strip" }, ...thumbs);
  }

  step(entry, by, focus = false) {
    const place = Math.min(Math.max(entry.place + by, 0), entry.track.stills.length - 1);
    if (place === entry.place) return;
    entry.place = place;
    this.show(entry);
    if (focus) entry.detail.querySelector(by < 0 ? ".steps button" : ".steps button:last-child").focus();
    // What was clicked is another element now, or can't be clicked any more; keys must find their way.
    if (!entry.detail.contains(document.activeElement) && document.activeElement !== entry.lane) {
      entry.detail.querySelector("[aria-current]").focus({ preventScroll: true });
    }
  }

  key(event) {
    if (this.open === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const entry = this.lanes.get(this.open);
    if (event.key === "ArrowLeft") this.step(entry, -1);
    else if (event.key === "ArrowRight") this.step(entry, 1);
    else if (event.key === "Escape") {
      this.close();
      entry.lane.focus();
    } else return;
    event.preventDefault();
  }

  /** All tracks as numbers; a click on a heading sorts by it, and the other way round. */
  table() {
    const columns = [
      ["track", (one) => one.number, (one) => `${one.number}`],
      ["what", (one) => one.label, (one) => one.label],
      ["begin", (one) => one.begin, (one) => clock(one.begin)],
      ["end", (one) => one.end, (one) => clock(one.end)],
      ["seconds", (one) => one.end - one.begin, (one) => (one.end - one.begin).toFixed(2)],
      ["frames", (one) => one.frames, (one) => `${one.frames}`],
      ["best at", (one) => one.best.seconds, (one) => clock(one.best.seconds)],
      ["peak score", (one) => one.peak, (one) => one.peak.toFixed(2)],
      ["mean score", (one) => one.mean, (one) => one.mean.toFixed(2)],
    ];
    if (this.clip.lesions) {
      columns.push(["truth", (one) => one.verdict, (one) => (one.verdict ? `polyp ${one.verdict}` : "false alarm")]);
    }
    const body = make("tbody");
    const fill = (tracks) => body.replaceChildren(...tracks.map((track) => this.row(track, columns)));
    const heads = columns.map(([name, value]) => {
      const button = make("button", { type: "button" }, name);
      const head = make("th", { scope: "col" }, button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const order = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.number - b.number);
        const sorted = [...this.clip.tracks].sort(order);
        fill(falling ? sorted.reverse() : sorted);
      });
      return head;
    });
    fill(this.clip.tracks);
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body);
    return make("div", { class: "scroll" }, table);
  }

  row(track, columns) {
    const cells = columns.map(([, , text]) => make("td", {}, text(track)));
    const button = make("button", { type: "button", "aria-label": `show track ${track.number}` }, `${track.number}`);
    button.addEventListener("click", () => {
      if (this.open !== track.number) this.choose(track.number);
      this.lanes.get(track.number).lane.scrollIntoView({ block: "start", behavior: "smooth" });
    });
    cells[0].replaceChildren(button);
    return make("tr", {}, ...cells);
  }
}

for (const root of document.querySelectorAll(".timeline")) new Timeline(root);
