/** The picture and its boxes on the canvas, in device pixels, so that lines stay crisp. */

/** Colour, dash and glyph of each kind of box: the three differ without colour, too. */
export const STYLES = {
  found: { colour: "#7ab7ff", dash: [], glyph: "", name: "track" },
  hit: { colour: "#4fd1a5", dash: [], glyph: "✓", name: "hit" },
  false: { colour: "#ffb454", dash: [9, 5], glyph: "✕", name: "false alarm" },
  miss: { colour: "#d3b3ff", dash: [2, 5], glyph: "?", name: "missed" },
  truth: { colour: "#ffffff", dash: [], glyph: "", name: "truth" },
  second: { colour: "#ff9ddb", dash: [7, 4], glyph: "", name: "second detector" },
  unconfirmed: { colour: "#c3ccd6", dash: [3, 4], glyph: "", name: "not confirmed" },
};
const CASING = "rgba(8, 11, 14, 0.62)";
const LINE_PX = 2.25;
/** Of what isn't confirmed, and of tracks that are carried through a gap. */
const THIN_PX = 1.25;

export class Painter {
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.context = canvas.getContext("2d");
    this.bitmap = null;
    this.header = null;
    this.boxesShown = true;
    this.aspect = 16 / 9;
    new ResizeObserver(() => this.fit()).observe(stage);
  }

  /** Width over height of the pictures to come. */
  setAspect(width, height) {
    this.aspect = width / height;
    this.stage.style.setProperty("--aspect", String(this.aspect));
    this.fit();
  }

  /** Draw what was found over the picture, or leave it bare. */
  showBoxes(shown) {
    this.boxesShown = shown;
    this.#paint();
  }

  show(bitmap, header) {
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.header = header;
    const aspect = bitmap.width / bitmap.height;
    if (Math.abs(aspect / this.aspect - 1) > 0.01) this.setAspect(bitmap.width, bitmap.height);
    else this.#paint();
  }

  /** Fill the stage as far as the picture's shape allows. */
  fit() {
    const { clientWidth, clientHeight } = this.stage;
    const width = Math.min(clientWidth, clientHeight * this.aspect);
    const height = width / this.aspect;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(width * this.scale));
    this.canvas.height = Math.max(1, Math.round(height * this.scale));
    this.#paint();
  }

  #paint() {
    if (!this.bitmap) return;
    const { context, canvas } = this;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.bitmap, 0, 0, canvas.width, canvas.height);
    const boxes = this.boxesShown ? this.header.boxes : [];
    const truth = (this.boxesShown && this.header.truth) || []; // null while it isn't shown
    for (const one of truth.filter((box) => box.found !== false)) {
      this.#corners(this.#pixels(one.xyxy));
    }
    for (const one of truth.filter((box) => box.found === false)) {
      this.#box(one.xyxy, STYLES.miss, `${one.paris} missed`);
    }
    for (const one of boxes.filter((box) => box.track === null)) {
      const colour = one.hit === true ? STYLES.hit.colour : STYLES.unconfirmed.colour;
      const place = this.#pixels(one.xyxy);
      this.#stroke({ ...STYLES.unconfirmed, colour }, () => context.strokeRect(...place), THIN_PX);
    }
    const tracks = boxes.filter((box) => box.track !== null);
    for (const one of tracks) {
      const style = one.hit === true ? STYLES.hit : one.hit === false ? STYLES.false : STYLES.found;
      const label = one.label === "polyp" ? "" : `${one.label} `;
      const text = `#${one.track} ${label}${one.score.toFixed(2)}`;
      this.#box(one.xyxy, style, text, one.matched ? LINE_PX : THIN_PX);
    }
    const seconds = (this.boxesShown && this.header.second) || []; // null while there is none
    for (const one of seconds) {
      const glyph = one.hit === true ? STYLES.hit.glyph : one.hit === false ? STYLES.false.glyph : "";
      const label = one.label === "polyp" ? "" : `${one.label} `;
      this.#box(one.xyxy, { ...STYLES.second, glyph }, `2nd ${label}${one.score.toFixed(2)}`, THIN_PX, true);
    }
    this.canvas.dataset.seconds = seconds.length;
    this.canvas.dataset.frame = this.header.frame;
    this.canvas.dataset.lookedAt = this.header.looked_at ?? "";
    this.canvas.dataset.boxes = boxes.length;
    this.canvas.dataset.tracks = tracks.map((box) => box.track).join(" ");
    this.canvas.dataset.truth = truth.length;
    this.canvas.dataset.hits = boxes.filter((box) => box.hit).length;
  }

  /** Left, top, width and height on the canvas, on whole pixels. */
  #pixels([x0, y0, x1, y1]) {
    const { width, height } = this.canvas;
    const left = Math.round(x0 * width);
    const top = Math.round(y0 * height);
    return [left, top, Math.round(x1 * width) - left, Math.round(y1 * height) - top];
  }

  #box(xyxy, style, text, width = LINE_PX, below = false) {
    const place = this.#pixels(xyxy);
    this.#stroke(style, () => this.context.strokeRect(...place), width);
    this.#label(place, style, style.glyph ? `${style.glyph} ${text}` : text, below);
  }

  /** A truth that was found: corners only, a little outside, beside the detection's box. */
  #corners([left, top, width, height]) {
    const out = Math.round(4 * this.scale);
    const [x0, y0] = [left - out, top - out];
    const [x1, y1] = [left + width + out, top + height + out];
    const arm = Math.max(4 * this.scale, 0.18 * Math.min(x1 - x0, y1 - y0));
    const path = new Path2D();
    for (const [x, y, dx, dy] of [[x0, y0, 1, 1], [x1, y0, -1, 1], [x1, y1, -1, -1], [x0, y1, 1, -1]]) {
      path.moveTo(x + dx * arm, y);
      path.lineTo(x, y);
      path.lineTo(x, y + dy * arm);
    }
    this.#stroke(STYLES.truth, () => this.context.stroke(path));
  }

  /** A coloured line over a wider dark one: seen on pale mucosa and in the dark lumen. */
  #stroke({ colour, dash }, draw, width = LINE_PX) {
    const { context, scale } = this;
    context.lineJoin = "round";
    context.lineCap = dash.length && dash[0] < 4 ? "round" : "butt";
    context.setLineDash([]);
    context.lineWidth = (width + 2.5) * scale;
    context.strokeStyle = CASING;
    draw();
    context.setLineDash(dash.map((length) => length * scale));
    context.lineWidth = width * scale;
    context.strokeStyle = colour;
    draw();
    context.setLineDash([]);
  }

  #label([left, top, , height], style, text, prefersBelow) {
    const { context, scale, canvas } = this;
    context.font = `600 ${Math.round(12.5 * scale)}px ${getComputedStyle(canvas).fontFamily}`;
    const width = Math.ceil(context.measureText(text).width + 10 * scale);
    const tall = Math.round(18 * scale);
    const gap = Math.round(4 * scale);
    const above = top - tall - gap;
    const below = top + height + gap;
    const fits = (place) => place >= 0 && place + tall <= canvas.height;
    const y = (prefersBelow ? [below, above] : [above, below]).find(fits) ?? Math.max(top, 0) + gap;
    const x = Math.max(0, Math.min(left - Math.round(scale), canvas.width - width));
    context.fillStyle = "rgba(10, 14, 18, 0.86)";
    context.beginPath();
    context.roundRect(x, y, width, tall, 4 * scale);
    context.fill();
    context.fillStyle = style.colour;
    context.textBaseline = "middle";
    context.fillText(text, x + 5 * scale, y + tall / 2 + 0.5 * scale);
  }
}
