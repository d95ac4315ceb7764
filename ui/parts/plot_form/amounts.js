// Amounts in words: how long, how large, how many.
import { translated } from "../../scripts/translate.js";

export function durationWords(seconds) {
  if (seconds == null) return "";
  if (seconds < 90) return translated(`about ${Math.max(1, Math.round(seconds))} s`);
  if (seconds < 5400) return translated(`about ${Math.round(seconds / 60)} min`);
  return translated(`about ${Math.round(seconds / 3600)} h`);
}

export function bytesWords(bytes) {
  if (bytes == null) return "";
  const [size, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : bytes < 1e9 ? [bytes / 1e6, "MB"] : [bytes / 1e9, "GB"];
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${unit}`;
}

export const counted = number => Number(number).toLocaleString(document.documentElement.lang || "en");

export function leftWords(seconds) {
  if (seconds < 90) return translated(`about ${Math.max(1, Math.round(seconds))} s left`);
  if (seconds < 5400) return translated(`about ${Math.round(seconds / 60)} min left`);
  return translated(`about ${Math.round(seconds / 3600)} h left`);
}
