/** Pictures to inputs of one size as Python does it, bit for bit: data/letterbox.py on cv2.resize.
 *
 * Pictures are {width, height, data}, four bytes a pixel (RGBA), of which three are read. */

const LINEAR_BITS = 11; // OpenCV's weights of a linear resize are whole numbers of 2048ths

/** The nearest whole number, of two equally near the even one, as Python and OpenCV round. */
function roundHalfEven(value) {
  const below = Math.floor(value);
  const over = value - below;
  if (over === 0.5) return below + (below % 2 ? 1 : 0);
  return over < 0.5 ? below : below + 1;
}

/** The rectangle {left, top, width, height} of an input that shows a picture. */
function placementOf(picture, input, mode) {
  if (mode === "force") return { left: 0, top: 0, width: input.width, height: input.height };
  const scale = Math.min(input.width / picture.width, input.height / picture.height);
  const fitted = (side) =>
    Math.min(Math.max(1, roundHalfEven(picture[side] * scale)), input[side]);
  const [width, height] = [fitted("width"), fitted("height")];
  return {
    left: Math.floor((input.width - width) / 2),
    top: Math.floor((input.height - height) / 2),
    width,
    height,
  };
}

/** A picture in `size`, three bytes a pixel: areas averaged to shrink, else linear. */
function resized(picture, size) {
  if (picture.width === size.width && picture.height === size.height) return withoutAlpha(picture);
  if (size.width > picture.width || size.height > picture.height) return linear(picture, size);
  // As OpenCV does, which divides twice: 1 / (small / large) isn't always large / small.
  const across = 1 / (size.width / picture.width);
  const down = 1 / (size.height / picture.height);
  const whole = [across, down].every((scale) => Math.abs(scale - Math.round(scale)) < 2 ** -52);
  if (whole) return meansOfBlocks(picture, size, Math.round(across), Math.round(down));
  return meansOfAreas(picture, size, across, down);
}

function withoutAlpha({ width, height, data }) {
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < out.length; from += 4, to += 3) {
    out[to] = data[from];
    out[to + 1] = data[from + 1];
    out[to + 2] = data[from + 2];
  }
  return out;
}

/** Blocks of whole pixels, `across` times `down` each, averaged. */
function meansOfBlocks({ width, data }, size, across, down) {
  const out = new Uint8Array(size.width * size.height * 3);
  const share = Math.fround(1 / (across * down));
  // Blocks of 2 by 2 have a way of their own in OpenCV, which rounds halves up.
  const mean = across === 2 && down === 2
    ? (sum) => (sum + 2) >> 2
    : (sum) => roundHalfEven(Math.fround(sum * share));
  let to = 0;
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let row = y * down; row < (y + 1) * down; row++) {
          const begin = (row * width + x * across) * 4 + channel;
          for (let at = begin; at < begin + across * 4; at += 4) sum += data[at];
        }
        out[to++] = mean(sum);
      }
    }
  }
  return out;
}

/** What of `long` pixels goes into each of `short`: those of `to` lie from begins[to] on. */
function sharesOf(long, short, scale) {
  const [sources, weights, begins] = [[], [], [0]];
  const add = (source, weight) => {
    sources.push(source);
    weights.push(weight);
  };
  for (let to = 0; to < short; to++) {
    const begin = to * scale;
    const end = begin + scale;
    const cell = Math.min(scale, long - begin);
    const last = Math.min(Math.floor(end), long - 1);
    const first = Math.min(Math.ceil(begin), last);
    if (first - begin > 1e-3) add(first - 1, (first - begin) / cell);
    for (let source = first; source < last; source++) add(source, 1 / cell);
    if (end - last > 1e-3) add(last, Math.min(Math.min(end - last, 1), cell) / cell);
    begins.push(sources.length);
  }
  return { sources: Int32Array.from(sources), weights: Float32Array.from(weights), begins };
}

/** Areas with parts of pixels, averaged in 32-bit floats in OpenCV's order: across, then down. */
function meansOfAreas({ width, height, data }, size, across, down) {
  const columns = sharesOf(width, size.width, across);
  const rows = sharesOf(height, size.height, down);
  const out = new Uint8Array(size.width * size.height * 3);
  const sums = new Float32Array(size.width * 3);
  const means = new Float32Array(size.width * 3);
  for (let y = 0, to = 0; y < size.height; y++) {
    sums.fill(0);
    for (let share = rows.begins[y]; share < rows.begins[y + 1]; share++) {
      meansAcross(data, rows.sources[share] * width * 4, columns, means);
      const weight = rows.weights[share];
      for (let at = 0; at < sums.length; at++) sums[at] += Math.fround(means[at] * weight);
    }
    for (const sum of sums) out[to++] = roundHalfEven(sum);
  }
  return out;
}

/** One row of pixels, whose data begin at `row`, to the means of its columns. */
function meansAcross(data, row, { sources, weights, begins }, means) {
  for (let x = 0; x + 1 < begins.length; x++) {
    let red = 0;
    let green = 0;
    let blue = 0;
    for (let share = begins[x]; share < begins[x + 1]; share++) {
      const pixel = row + sources[share] * 4;
      const weight = weights[share];
      red = Math.fround(red + Math.fround(data[pixel] * weight));
      green = Math.fround(green + Math.fround(data[pixel + 1] * weight));
      blue = Math.fround(blue + Math.fround(data[pixel + 2] * weight));
    }
    means[3 * x] = red;
    means[3 * x + 1] = green;
    means[3 * x + 2] = blue;
  }
}

/** The two pixels that each of `to` lies between, and their weights: [first, second, w1, w2].
 *
 * Beyond the outermost pixels both are the same, and it is the columns' weights alone that OpenCV
 * then makes whole; the rows' are rounded each for itself. */
function neighbours(from, to, areColumns) {
  const scale = 1 / (to / from);
  const within = (place) => Math.min(Math.max(place, 0), from - 1);
  const weight = (part) => roundHalfEven(Math.fround(part * 2 ** LINEAR_BITS));
  return Array.from({ length: to }, (_, place) => {
    const exact = Math.fround((place + 0.5) * scale - 0.5);
    const first = Math.floor(exact);
    const outside = first < 0 || first >= from - 1;
    const over = areColumns && outside ? 0 : Math.fround(exact - first);
    return [within(first), within(first + 1), weight(Math.fround(1 - over)), weight(over)];
  });
}

/** Linear between pixels, in OpenCV's whole numbers. */
function linear({ width, height, data }, size) {
  const columns = neighbours(width, size.width, true);
  const out = new Uint8Array(size.width * size.height * 3);
  let to = 0;
  for (const [upper, lower, upperWeight, lowerWeight] of neighbours(height, size.height, false)) {
    for (const [left, right, leftWeight, rightWeight] of columns) {
      for (let channel = 0; channel < 3; channel++) {
        const across = (row) =>
          data[(row * width + left) * 4 + channel] * leftWeight +
          data[(row * width + right) * 4 + channel] * rightWeight;
        const sum =
          ((upperWeight * (across(upper) >> 4)) >> 16) + ((lowerWeight * (across(lower) >> 4)) >> 16);
        out[to++] = (sum + 2) >> 2;
      }
    }
  }
  return out;
}

/** A picture as the network takes it, (3, H, W) in 0..1, and where in it the picture lies. */
function inputOf(picture, input, mode) {
  const place = placementOf(picture, input, mode);
  const pixels = resized(picture, place);
  const plane = input.width * input.height;
  const values = new Float32Array(3 * plane);
  for (let y = 0, from = 0; y < place.height; y++) {
    let to = (place.top + y) * input.width + place.left;
    for (let x = 0; x < place.width; x++, to++, from += 3) {
      values[to] = pixels[from] / 255;
      values[plane + to] = pixels[from + 1] / 255;
      values[2 * plane + to] = pixels[from + 2] / 255;
    }
  }
  return { values, place };
}
