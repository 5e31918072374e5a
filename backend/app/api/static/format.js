/** Amounts with their units, as people read them. */

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const NONE = "–";

/** Return a number with three digits, whole from a thousand on. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (Math.abs(value) >= 1e6) return compact.format(value);
  return Math.abs(value) >= 1000 ? whole.format(value) : plain.format(value);
}

/** Return seconds as 320 ms, 4.2 s, 3 min 20 s, 5 h 10 min or 3 d 4 h. */
export function seconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0) return "0 s";
  if (value < 0.9995) return `${plain.format(value * 1000)} ms`;
  if (value < 60) return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} s`;
  const whole_ = Math.round(value);
  if (whole_ < 3600) return `${Math.floor(whole_ / 60)} min ${whole_ % 60} s`;
  if (whole_ < 86400) return `${Math.floor(whole_ / 3600)} h ${Math.floor((whole_ % 3600) / 60)} min`;
  return `${Math.floor(whole_ / 86400)} d ${Math.floor((whole_ % 86400) / 3600)} h`;
}

function dollars(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 100) return whole.format(value);
  return Math.abs(value) >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(2)));
}

/** Return a cost in USD; what has no known price is no 0. */
export const cost = (value) => (value === null || value === undefined ? "no price known" : `${dollars(value)} USD`);

const SIZES = ["B", "KiB", "MiB", "GiB"];

function bytes(value) {
  let at = 0;
  while (Math.abs(value) >= 1024 && at < SIZES.length - 1) { value /= 1024; at += 1; }
  return [number(value), SIZES[at]];
}

/** Return an amount as two texts: the number, and the unit to put behind it. */
export function amount(value, unit = "") {
  if (value === null || value === undefined || !Number.isFinite(value)) return [NONE, ""];
  if (unit === "ratio" || unit === "%" || unit === "share") return [number(value * 100), "%"];
  if (unit === "s" || unit === "seconds") {
    const text = seconds(value), at = text.indexOf(" ");
    return text.indexOf(" ", at + 1) < 0 ? [text.slice(0, at), text.slice(at + 1)] : [text, ""];
  }
  if (unit === "bytes" || unit === "B") return bytes(value);
  if (unit.startsWith("USD")) return [dollars(value), unit];
  return [number(value), unit];
}

/** Return an amount as one text. */
export const inUnit = (value, unit) => amount(value, unit).filter(Boolean).join(" ");

export const tokens = (count) => `${number(count)} token${count === 1 ? "" : "s"}`;

/** Return the time of day of Unix seconds, with tenths where they are asked for. */
export function timeOfDay(time, tenths = false) {
  const at = new Date(time * 1000);
  const text = [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
  return tenths ? `${text}.${Math.floor(at.getMilliseconds() / 100)}` : text;
}

export const words = (name) => name.replaceAll("_", " ");
export const shortId = (id) => id.slice(0, 8);
