"use strict";
// Computes a run's decoder layer by layer, in plain loops.

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function float16(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

function numbersOf(bytes, kind) {
  if (kind === "float32") return new Float32Array(bytes.buffer);
  const table = Float32Array.from({ length: 65536 }, (_, bits) => float16(bits));
  const found = new Float32Array(bytes.length / 2);
  for (let i = 0; i < found.length; i += 1) found[i] = table[bytes[2 * i] | (bytes[2 * i + 1] << 8)];
  return found;
}

function layersOf(decoder, weights) {
  const numbers = numbersOf(bytesOf(weights), decoder.numbers);
  let start = 0;
  const take = (count) => numbers.subarray(start, (start += count));
  return decoder.layers.map((layer) => {
    if (layer.weight === undefined) return layer;
    const outputs = layer.weight[layer.kind === "linear" ? 0 : 1];
    const weight = take(layer.weight.reduce((product, size) => product * size, 1));
    return { ...layer, outputs, numbers: weight, bias: take(outputs) };
  });
}

function linear({ outputs, numbers, bias }, x) {
  const y = new Float32Array(outputs);
  for (let o = 0, n = 0; o < outputs; o += 1) {
    let sum = bias[o];
    for (let i = 0; i < x.length; i += 1, n += 1) sum += numbers[n] * x[i];
    y[o] = sum;
  }
  return y;
}

function convTranspose({ weight, shape, stride, padding, outputPadding, outputs, numbers, bias }, x) {
  const [inputs, rows, columns] = shape;
  const side = weight[2];
  const tall = (rows - 1) * stride - 2 * padding + side + outputPadding;
  const wide = (columns - 1) * stride - 2 * padding + side + outputPadding;
  const y = new Float32Array(outputs * tall * wide);
  for (let o = 0; o < outputs; o += 1) y.fill(bias[o], o * tall * wide, (o + 1) * tall * wide);
  for (let i = 0; i < inputs; i += 1) {
    for (let r = 0; r < rows; r += 1) {
      for (let c = 0; c < columns; c += 1) {
        const value = x[(i * rows + r) * columns + c];
        if (value === 0) continue;
        const top = r * stride - padding;
        const left = c * stride - padding;
        const firstColumn = Math.max(0, -left);
        const lastColumn = Math.min(side, wide - left);
        for (let o = 0; o < outputs; o += 1) {
          const kernel = (i * outputs + o) * side * side;
          for (let k = Math.max(0, -top); k < Math.min(side, tall - top); k += 1) {
            const row = (o * tall + top + k) * wide + left;
            for (let l = firstColumn; l < lastColumn; l += 1) y[row + l] += value * numbers[kernel + k * side + l];
          }
        }
      }
    }
  }
  return y;
}

const LAYERS = {
  linear,
  conv_transpose: convTranspose,
  relu: ({ slope }, x) => x.map((value) => (value > 0 ? value : slope * value)),
  tanh: (_, x) => x.map(Math.tanh),
  sigmoid: (_, x) => x.map((value) => 1 / (1 + Math.exp(-value))),
};

const LINKS = {
  identity: (raw) => raw,
  sigmoid: (raw) => 1 / (1 + Math.exp(-raw)),
  // E[x] = 1/(1 - exp(-raw)) - 1/raw, by its series where that would cancel.
  continuous_bernoulli: (raw) => (Math.abs(raw) < 0.05 ? 0.5 + raw / 12 : 1 / (1 - Math.exp(-raw)) - 1 / raw),
};

/** 2Φ(z) - 1 = erf(z / √2), to 1.5e-7 (Abramowitz and Stegun, 7.1.26). */
function uniformOf(z) {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const sum = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce((y, a) => (y + a) * t, 0);
  return Math.sign(z) * (1 - sum * Math.exp(-x * x));
}

/**
 * A function of a code, and of the number of values of an image, that gives the image: numbers from 0 to 1.
 *
 * `decoder` names the layers with their shapes, the link, and the kind of the numbers in `weights`, which are base64.
 */
function decoderOf(decoder, weights) {
  const layers = layersOf(decoder, weights);
  const link = LINKS[decoder.link];
  return (code, size) => layers.reduce((x, layer) => LAYERS[layer.kind](layer, x), code).subarray(0, size).map(link);
}
