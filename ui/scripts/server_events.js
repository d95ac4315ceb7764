// The stream of what happens on the server. It reconnects by itself and always starts from the present state.
import { fromServer, withRoot } from "./root.js";

const FIRST = 500, LONGEST = 10000, LOST_AFTER = 1500;      // ms: between two tries; without a connection

export class ServerEvents {
  // `hears` gets a type and its detail: "connected", "live" with an event of the server, "lost".
  constructor(hears) {
    this.hears = hears;
    this.source = null;
    this.delay = FIRST;
    self.addEventListener("online", () => { if (this.source) this.open(); });
  }

  open() {
    this.close();
    this.source = new EventSource(withRoot("/easel/events?cursor=0"));
    this.source.onopen = () => this.connected();
    this.source.onmessage = message => this.hears("live", fromServer(message.data));
    this.source.onerror = () => this.broken();
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  connected() {
    this.delay = FIRST;
    clearTimeout(this.lost);
    this.lost = 0;
    this.hears("connected");
  }

  broken() {
    this.source.close();
    this.lost ||= setTimeout(() => this.hears("lost"), LOST_AFTER);
    this.timer = setTimeout(() => this.open(), this.delay * (0.75 + Math.random() / 2));
    this.delay = Math.min(LONGEST, this.delay * 1.7);
  }
}
