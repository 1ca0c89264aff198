/** Runs the detector beside the page, which stays free: pixels in, detections out.
 *
 * `ort` is ONNX Runtime Web; `inputOf` is of resize.js. */

let detector = null;

/** The runtime fetches nothing: its WebAssembly comes with the page, and it starts no thread. */
async function loaded({ runtime, model, facts }) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = runtime;
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return { session, facts };
}

/** The detections in a picture, best first: {box, score, label}, boxes xyxy in 0..1. */
async function detectionsIn(picture) {
  const { session, facts } = detector;
  const { values, place } = inputOf(picture, facts.input, facts.resize_mode);
  const images = new ort.Tensor("float32", values, [1, 3, facts.input.height, facts.input.width]);
  const { boxes, scores, classes } = await session.run({ images });
  return Array.from(scores.data, (score, row) => ({
    box: inPicture(boxes.data.subarray(4 * row, 4 * row + 4), place, facts.input),
    score,
    label: facts.classes[Number(classes.data[row])],
  }))
    .sort((one, other) => other.score - one.score)
    .slice(0, facts.most_detections)
    .filter(({ box: [left, top, right, bottom] }) => right > left && bottom > top);
}

/** A box in pixels of the input as one in 0..1 of the picture, clipped to it. */
function inPicture([left, top, right, bottom], place, input) {
  const within = (edge, side, offset) => {
    const inInput = Math.fround(edge / input[side]);
    const exact = (inInput - offset / input[side]) / (place[side] / input[side]);
    return Math.fround(Math.min(Math.max(exact, 0), 1));
  };
  return [
    within(left, "width", place.left),
    within(top, "height", place.top),
    within(right, "width", place.left),
    within(bottom, "height", place.top),
  ];
}

async function answer({ task, load, picture }) {
  try {
    if (load) {
      detector = await loaded(load);
      return { task };
    }
    const begin = performance.now();
    return { task, found: await detectionsIn(picture), milliseconds: performance.now() - begin };
  } catch (fault) {
    return { task, fault: String(fault?.message ?? fault) };
  }
}

self.addEventListener("message", async ({ data }) => self.postMessage(await answer(data)));
