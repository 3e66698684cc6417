/** Numbers formatted for people. */

/** Three significant digits: 4.37, 43.7, 437. */
export function digits(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

export const ms = (value) => `${digits(value)} ms`;
export const percent = (share) => `${(share * 100).toFixed(1)}\u00a0%`;

/** Multiply-adds and parameters: 300.8 M. */
export function count(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(value >= 1e8 ? 0 : value >= 1e7 ? 1 : 2)} M`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
  return String(Math.round(value));
}

/** Bytes in powers of ten. */
export function bytes(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} GB`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} MB`;
  return `${(value / 1e3).toFixed(1)} kB`;
}

/** The ratio as times more or less, or nothing if equal. */
export function ratio(value, before) {
  const times = value / before;
  if (!Number.isFinite(times) || Math.abs(times - 1) < 0.005) return "";
  return times >= 1 ? `${digits(times)} × more` : `${digits(1 / times)} × less`;
}

/** `mobilenet_v2_1.0_224_int8` at 192 px, shortened for a plot: `v2 1.0/224 int8 @192`. */
export function shortName(name, resolution) {
  const found = /^mobilenet_(v\d)_([\d.]+)_(\d+)(?:_(.+))?$/.exec(name);
  if (!found) return `${name} @${resolution}`;
  const [, version, alpha, trained, more] = found;
  return `${version} ${alpha}/${trained}${more ? ` ${more}` : ""}${Number(trained) === resolution ? "" : ` @${resolution}`}`;
}
