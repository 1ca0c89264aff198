/** What the page carries in itself: data blocks in base64, compressed by gzip. */

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** The bytes of the block `id`, which is removed: unpacked, it is needed no more. */
async function unpacked(id) {
  const block = document.getElementById(id);
  const packed = new Blob([bytesOf(block.textContent.trim())]);
  block.remove();
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
