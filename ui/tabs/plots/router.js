// What the Plots tab shows: the list of plots, or the grid of the one that the address names.
import { note } from "../../parts/notices.js";
import { showsPicture } from "../../scripts/location_hash.js";
import { make } from "../../scripts/dom.js";
import { ask } from "../../scripts/http.js";
import { PlotList } from "./list.js";
import { Viewer } from "./viewer.js";

const TAB = "plots";

function styles() {
  return new Promise(resolve => {
    const link = make("link", { rel: "stylesheet", href: new URL("./plots.css", import.meta.url).href });
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}

export class PlotRouter {
  static async opened(root) {
    await styles();
    return new PlotRouter(root);
  }

  constructor(root) {
    this.list = new PlotList(id => this.show(id));
    this.viewer = new Viewer({ back: () => this.back() });
    root.append(this.list.root, this.viewer.root);
    this.reveal(false);
  }

  reveal(one) {
    this.list.root.hidden = one;
    this.viewer.root.hidden = !one;
  }

  async follow({ tab, picture }) {
    if (tab !== TAB) return;
    if (!picture) return this.back();
    if (picture !== this.viewer.plot?.id || this.viewer.root.hidden) await this.show(picture);
  }

  async show(id) {
    this.wanted = id;
    let told;
    try { told = await ask(`/easel/plots/${encodeURIComponent(id)}`); }
    catch (error) {
      note(error.status === 404 ? "This plot is no longer there." : error.message, 8000);
      if (this.viewer.root.hidden || error.status === 404) this.back();
      return;
    }
    if (this.wanted !== id) return;
    if (this.viewer.root.hidden || this.viewer.plot?.id !== id) scrollTo(0, 0);
    this.reveal(true);
    this.viewer.open(told);
    showsPicture(TAB, id);
  }

  back() {
    this.wanted = null;
    const former = this.viewer.root.hidden ? null : this.viewer.plot?.id;
    this.viewer.close();
    this.reveal(false);
    showsPicture(TAB);
    this.list.refresh(former);
  }

  heard(event) {
    if (!this.viewer.root.hidden && event.id === this.viewer.plot?.id) this.viewer.heard(event);
    else if (!this.list.root.hidden) this.list.heard(event);
  }

  // Deleted, here or in another window.
  lost(id) {
    if (this.viewer.plot?.id === id) this.back();
    else if (!this.list.root.hidden) this.list.refresh();
  }

  // After a lost connection, something may have been missed.
  refresh() {
    if (this.viewer.root.hidden) this.list.refresh();
    else this.viewer.renew();
  }
}
