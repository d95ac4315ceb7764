// What a plot would cost, told while it is typed. Nothing is queued for it.
import { make } from "../../scripts/dom.js";
import { post } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import { bytesWords, counted, durationWords } from "./amounts.js";
import { keptPlot, tellPlot } from "./form_state.js";

const PAUSE = 400;      // ms after the last letter

export class DryRun {
  // `body()` is what is asked about; `told(answer)` gets what the server says.
  constructor(tab, hands) {
    Object.assign(this, { tab, hands });
    this.root = make("p", { class: "plot-cost", role: "status", translate: "no" });
  }

  soon() {
    clearTimeout(this.due);
    if (!keptPlot(this.tab).script) return;
    this.due = setTimeout(() => this.ask(), PAUSE);
  }

  async ask() {
    const body = this.hands.body(), now = JSON.stringify(body);
    if (now === this.asked) return;
    this.asked = now;
    try {
      const answer = await post("/easel/plots/check", body);
      if (this.asked === now) this.show(answer);
    } catch (error) {
      if (this.asked !== now) return;
      this.asked = null;
      if (error.problems?.length) this.show({ problems: error.problems });
      else this.root.textContent = error.message;
    }
  }

  show(answer) {
    const { cells, pictures, problems = [] } = answer;
    this.root.textContent = problems.length || !pictures ? "" : costWords(answer);
    this.hands.told(answer);
    tellPlot(this.tab, problems.length ? null : pictures ?? cells);
  }
}

// "20 pictures · 400 network calls · about 12 s · 4 MB · 3 checkpoints loaded"
function costWords({ pictures, calls, seconds, bytes, loads, shared = {} }) {
  const saved = Object.values(shared).filter(value => typeof value === "number").reduce((a, b) => a + b, 0);
  return [translated(pictures === 1 ? "1 picture" : `${counted(pictures)} pictures`), calls == null ? "" : translated(`${counted(calls)} network calls`), durationWords(seconds), bytesWords(bytes),
    loads > 1 ? translated(`${counted(loads)} loads of a checkpoint`) : "", saved ? translated(`${counted(saved)} parts drawn once for several`) : ""].filter(Boolean).join(" · ");
}
