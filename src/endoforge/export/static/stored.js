/** Pixels as they are stored, which are what the detector's boxes are of.
 *
 * A browser turns pictures by a note of their camera, and changes their colours by a profile. So
 * the notes are taken out of the file's bytes before it decodes them. */

const CUT_SHORT = "the file is cut short";
const [JPEG_END, JPEG_SCAN, JPEG_NOTES] = [0xd9, 0xda, [0xe1, 0xe2]]; // EXIF and XMP; profiles
const WEBP_HEADER = "VP8X";
const WEBP_PIXELS = ["VP8 ", "VP8L", "ANIM", "ANMF"];
const WEBP_ANIMATED = 0b10; // the one flag of its header that says how pixels are stored

/** The bytes of a picture's file without such notes; throws an Error if its end is missing. */
function withoutNotes(bytes) {
  const starts = (text, at = 0) => textAt(bytes, at, text.length) === text;
  if (starts("\xff\xd8\xff")) return jpegWithoutNotes(bytes);
  if (starts("\x89PNG\r\n\x1a\n")) return pngWithoutNotes(bytes);
  if (starts("RIFF") && starts("WEBP", 8)) return webpWithoutNotes(bytes);
  return bytes;
}

function textAt(bytes, at, length) {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

/** Segments of 0xff, a marker and a length, up to the first scan (ITU-T T.81, annex B). */
function jpegWithoutNotes(bytes) {
  const kept = [bytes.subarray(0, 2)];
  let at = 2;
  while (bytes[at] === 0xff && bytes[at + 1] !== JPEG_SCAN) {
    const end = bytes[at + 1] === 0xff ? at + 1 : at + 2 + bytes[at + 2] * 256 + bytes[at + 3];
    if (!JPEG_NOTES.includes(bytes[at + 1])) kept.push(bytes.subarray(at, end));
    at = end;
  }
  let end = bytes.length - 2;
  while (end > at && !(bytes[end] === 0xff && bytes[end + 1] === JPEG_END)) end--;
  if (!(end > at)) throw new Error(CUT_SHORT);
  return joined([...kept, bytes.subarray(at)]);
}

/** Chunks of a length, a type, data and a check sum; those that must be there are in capitals. */
function pngWithoutNotes(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [bytes.subarray(0, 8)];
  let at = 8;
  for (let type = ""; type !== "IEND"; ) {
    if (at + 12 > bytes.length) throw new Error(CUT_SHORT);
    const end = at + 12 + view.getUint32(at);
    type = textAt(bytes, at + 4, 4);
    if (/^[A-Z]/.test(type)) kept.push(bytes.subarray(at, end));
    at = end;
  }
  if (at > bytes.length) throw new Error(CUT_SHORT);
  return joined(kept);
}

/** Chunks of a type, a length and data, each of an even length; the header says which there are. */
function webpWithoutNotes(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = 8 + view.getUint32(4, true);
  if (whole > bytes.length) throw new Error(CUT_SHORT);
  const kept = [];
  for (let at = 12; at + 8 <= whole; ) {
    const length = view.getUint32(at + 4, true);
    const end = at + 8 + length + (length % 2);
    const type = textAt(bytes, at, 4);
    const chunk = bytes.slice(at, end);
    if (type === WEBP_HEADER) chunk[8] &= WEBP_ANIMATED;
    if (type === WEBP_HEADER || WEBP_PIXELS.includes(type)) kept.push(chunk);
    at = end;
  }
  const file = joined([bytes.slice(0, 12), ...kept]);
  new DataView(file.buffer).setUint32(4, file.length - 8, true);
  return file;
}

function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A picture's file as a bitmap of its stored pixels; throws an Error that says why not. */
async function decoded(file) {
  if (file.size === 0) throw new Error("the file is empty");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const blob = new Blob([withoutNotes(bytes)]);
  const asTheyAre = { premultiplyAlpha: "none", colorSpaceConversion: "none" };
  try {
    return await createImageBitmap(blob, asTheyAre);
  } catch {
    throw new Error("not a picture or a clip that this browser can decode");
  }
}

/** The pixels of a bitmap, or of a clip's frame, drawn on `canvas`: {width, height, data}, RGBA. */
function pixelsOf(source, width, height, canvas) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** Whether any pixel lets through what is behind it, so that its stored colour can't be read. */
function hasTransparency({ data }) {
  for (let at = 3; at < data.length; at += 4) if (data[at] < 255) return true;
  return false;
}

/** Whether the browser changes pixels that pages read, as some do against being recognized. */
function changesPixels() {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const drawn = context.createImageData((canvas.width = 64), (canvas.height = 64));
  drawn.data.forEach((_, at) => (drawn.data[at] = at % 4 === 3 ? 255 : (at * 37) % 256));
  context.putImageData(drawn, 0, 0);
  return context.getImageData(0, 0, 64, 64).data.some((value, at) => value !== drawn.data[at]);
}
