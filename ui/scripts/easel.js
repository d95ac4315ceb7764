// The public face of the scripts: what a tab's own handlers and the scripts of extensions may use, by `import ... from "easel"`.
export * as forever from "../parts/forever.js";
export * as lightbox from "../parts/lightbox.js";
export * as picture from "../parts/picture.js";
export * as queue from "../parts/queue.js";
export * as styles from "../parts/styles.js";
export * as used from "../parts/used.js";
export * as extras from "../tabs/extras/extras.js";
export * as settings from "../tabs/settings/settings.js";
export { readSettings, sent } from "../parts/actions.js";
export { note, say, toast } from "../parts/notices.js";
export { resultsOf as results } from "../parts/results.js";
export { appeared, find, findAll, make } from "./dom.js";
export { on, tell } from "./events.js";
export { fields } from "./fields.js";
export { formOf as form, learn } from "./form.js";
export { ask, post, sendFile } from "./http.js";
export { currentTab as tab, openTab as open } from "./tabs.js";
