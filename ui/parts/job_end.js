// When a job ends: a sound, and a desktop notice while nobody looks at the page. Both are off until they are chosen in Settings.
import { on } from "../scripts/events.js";
import { preferences } from "../scripts/preferences.js";
import { store, stored } from "../scripts/storage.js";
import { translated } from "../scripts/translate.js";
import { note } from "./notices.js";
import { promptOf } from "./queue.js";

const RUNG = "easel.rung";      // the job that a page of this browser has told of: several are open, one speaks
const TONES = { done: [[660, 0], [880, .12]], failed: [[440, 0], [330, .16]] };     // Hz, and when it begins in seconds
const LONG = .5, LOUD = .12;    // seconds, of 1
let sound = null;

// Two soft tones, one above the other for good news.
export function chime(state = "done") {
  sound ??= new AudioContext();
  sound.resume();
  for (const [pitch, begins] of TONES[state]) {
    const tone = sound.createOscillator(), volume = sound.createGain(), start = sound.currentTime + begins;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(LOUD, start);
    volume.gain.exponentialRampToValueAtTime(.001, start + LONG);
    tone.connect(volume).connect(sound.destination);
    tone.start(start);
    tone.stop(start + LONG);
  }
}

function notice(state, job) {
  const title = translated(state === "done" ? "Easel: a job is finished" : "Easel: a job failed");
  const shown = new Notification(title, { body: promptOf(job), tag: "easel-job" });
  shown.addEventListener("click", () => { window.focus(); shown.close(); });
}

// Called by Settings when the choice is made: browsers ask for leave only then.
export async function allowed() {
  if (!("Notification" in window) || !window.isSecureContext) return note("This browser shows desktop notices only over https or on this machine.", 9000);
  if (await Notification.requestPermission() !== "granted") note("The browser does not allow desktop notices for this page; its own settings can change that.", 9000);
}

on("live", ({ type, state, id }) => {
  if (type !== "job" || !(state in TONES) || stored(localStorage, RUNG) === id) return;
  store(localStorage, RUNG, id);
  const { end_sound, end_notice } = preferences();
  if (end_sound === "on") chime(state);
  if (end_notice === "on" && document.hidden && window.Notification?.permission === "granted") notice(state, id);
});
