// Behind a proxy Easel may lie below a path. The server's addresses start at its own root; `withRoot` makes of one what this browser asks for.
const ROOT = new URL(import.meta.url.slice(0, import.meta.url.lastIndexOf("/easel/assets/"))).pathname.replace(/\/$/, "");
const ADDRESSES = ["url", "thumb"];        // under these keys the server tells addresses

export const withRoot = address => ROOT + address;

// What the server tells as JSON, with its addresses as they are here.
export const fromServer = text => JSON.parse(text, ROOT ? here : undefined);

const here = (key, value) => ADDRESSES.includes(key) && typeof value === "string" && value.startsWith("/easel/") ? withRoot(value) : value;
