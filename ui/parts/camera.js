// A picture taken by the camera of the device: a sheet with what it sees. The camera is let go on every way out.
import { make } from "../scripts/dom.js";
import { store, stored } from "../scripts/storage.js";
import { openSheet } from "./dialog.js";

const KEY = "easel.camera", TYPE = "image/png";
const GONE = "The camera is no longer there.", NONE = "No camera was found.";
const REFUSED = {
  NotAllowedError: "The browser refuses the camera: allow it for this page, at the address or in the browser's settings, and try again.",
  SecurityError: "The browser refuses the camera: allow it for this page, at the address or in the browser's settings, and try again.",
  NotFoundError: NONE, OverconstrainedError: NONE,
  NotReadableError: "The camera does not answer: another program may be using it.",
  AbortError: "The camera does not answer: another program may be using it.",
};
// Why there can be no camera here at all; null where there can.
const missing = () => navigator.mediaDevices?.getUserMedia ? null
  : isSecureContext ? "This browser gives no camera to pages." : "Browsers give the camera only to pages with https, or on this machine by localhost. A picture file can be chosen here.";

// Resolves with the file of the picture that was taken, or null.
export function photograph() {
  const camera = new Camera();
  return new Promise(resolve => camera.sheet.addEventListener("close", () => { camera.stop(); resolve(camera.kept); }));
}

class Camera {
  constructor() {
    const button = (words, act, look = "") => make("button", { type: "button", class: `act${look}`, onclick: act }, words);
    this.kept = this.stream = null;
    this.live = make("video", { class: "camera-view", playsinline: true, "aria-label": "What the camera sees", hidden: true });
    this.live.muted = true;
    this.still = make("canvas", { class: "camera-view", role: "img", "aria-label": "The picture that was taken", hidden: true });
    this.told = make("p", { class: "sheet-hint camera-told", role: "status" });
    this.which = make("select", { onchange: () => this.choose() });
    this.whichLabel = make("label", { hidden: true }, "Camera", this.which);
    this.shoot = button("Take the picture", () => this.take(), " strong");
    this.anew = button("Once more", () => this.back());
    this.use = button("Use it", () => this.keep(), " strong");
    this.retry = button("Try again", () => this.start());
    this.sheet = openSheet("Camera", "camera-sheet", this.told, this.live, this.still, this.whichLabel, make("div", { class: "sheet-acts camera-acts" }, this.retry, this.shoot, this.anew, this.use));
    this.start();
  }

  // Only the newest start counts, and only while the sheet is open: a camera that is given later is let go at once.
  async start() {
    const why = missing(), asked = this.asked = {};
    this.stop();
    this.show(why ?? "Waiting for the camera…", why ? null : this.live);
    if (why) return;
    const id = stored(localStorage, KEY);
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { width: { ideal: 1920 }, height: { ideal: 1080 }, ...(id ? { deviceId: { ideal: id } } : {}) } });
      if (asked !== this.asked || !this.sheet.open) return stream.getTracks().forEach(track => track.stop());
      this.stream = stream;
      stream.getVideoTracks()[0].addEventListener("ended", () => { if (stream === this.stream) this.fail(GONE); });
      this.live.srcObject = stream;
      await this.live.play();
      await this.list();
      this.show("", this.shoot);
    } catch (error) {
      if (asked === this.asked && this.sheet.open) this.fail(REFUSED[error.name] ?? error.message);
    }
  }

  stop() {
    this.stream?.getTracks().forEach(track => track.stop());
    this.live.srcObject = this.stream = null;
  }

  fail(why) {
    this.stop();
    this.show(why, this.retry);
  }

  // What there is to choose from has names once a camera was allowed.
  async list() {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(one => one.kind === "videoinput");
    this.which.replaceChildren(...devices.map((one, at) => make("option", { value: one.deviceId, translate: "no" }, one.label || String(at + 1))));
    this.which.value = this.stream?.getVideoTracks()[0].getSettings().deviceId ?? "";
    this.whichLabel.hidden = devices.length < 2;
  }

  choose() {
    store(localStorage, KEY, this.which.value);
    return this.start();
  }

  take() {
    const { videoWidth: width, videoHeight: height } = this.live;
    if (!width) return;
    Object.assign(this.still, { width, height });
    this.still.getContext("2d").drawImage(this.live, 0, 0);
    this.show("", this.use);
  }

  back() { return this.stream ? this.show("", this.shoot) : this.start(); }

  async keep() {
    const picture = await new Promise(resolve => this.still.toBlob(resolve, TYPE));
    this.kept = picture && new File([picture], "camera.png", { type: TYPE });
    this.sheet.close();
  }

  // What stands there, and which of the buttons leads on: it has the focus.
  show(text, next) {
    const taken = next === this.use;
    this.told.textContent = text;
    this.told.hidden = !text;
    this.live.hidden = ![this.live, this.shoot].includes(next);
    this.still.hidden = this.anew.hidden = this.use.hidden = !taken;
    this.shoot.hidden = next !== this.shoot;
    this.retry.hidden = next !== this.retry;
    if (next !== this.shoot) this.whichLabel.hidden = true;
    else if (this.which.options.length > 1) this.whichLabel.hidden = false;
    if (next?.tagName === "BUTTON") next.focus();
  }
}
