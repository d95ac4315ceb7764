// The points of people in a picture, moved by pointer or arrow keys; what is made of them is drawn as the model knows it.
import { make, shape } from "../../scripts/dom.js";
import { post } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import { note } from "../notices.js";
import { LIES } from "./picture_place.js";
import { withRoot } from "../../scripts/root.js";

const BODY = ["Nose", "Neck", "Right shoulder", "Right elbow", "Right wrist", "Left shoulder", "Left elbow", "Left wrist", "Right hip", "Right knee", "Right ankle", "Left hip", "Left knee", "Left ankle", "Right eye", "Left eye", "Right ear", "Left ear"];
const FACE = ["Right eye", "Left eye", "Nose", "Right corner of the mouth", "Left corner of the mouth"];
const LIMBS = {
  body: [[1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10], [1, 11], [11, 12], [12, 13], [1, 0], [0, 14], [14, 16], [0, 15], [15, 17]],
  key_points: [[0, 2], [1, 2], [3, 2], [4, 2]],
};
const NAMES = { body: BODY, key_points: FACE };
const STEP = 0.01, SMALL = 0.002;       // shares of the picture for an arrow key, and with Shift
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const inside = share => Math.min(1, Math.max(0, share));

// Resolves with the id of the picture of the moved points, or null. `people` are those of an earlier visit; else they are found anew.
export async function movePoints({ unit, people, width, height, keep }) {
  const found = structuredClone(people ?? (await post("/easel/guides/points", { unit, width, height })).people);
  if (!found.length) { note("Nobody was found in this picture.", 8000); return null; }
  const sheet = new Sheet(found, unit, width, height);
  if (!await sheet.closed) return null;
  keep(found);
  return (await post("/easel/guides/pose", { people: found, width, height })).id;
}

class Sheet {
  constructor(people, { image, resize_mode }, width, height) {
    Object.assign(this, { people, width, height, lines: [], joints: [] });
    this.stage = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "points-stage", role: "group", "aria-label": translated("Points") });
    this.stage.style.setProperty("--ratio", width / height);
    Object.assign(this.stage.style, { aspectRatio: width / height, backgroundImage: `url(${withRoot(`/easel/upload/${image}.png`)})`, backgroundSize: LIES[resize_mode] });
    this.spoken = make("p", { class: "unit-note", role: "status" }, "Drag a point, or choose one and move it with the arrow keys.");
    const dialog = make("dialog", { class: "sheet brush-sheet", "aria-label": "Move the points" }, make("h2", {}, "Move the points"), this.stage, this.spoken,
      make("div", { class: "brush-end" }, make("button", { type: "button", class: "act", onclick: () => dialog.close("") }, "Cancel"), make("button", { type: "button", class: "act strong", onclick: () => dialog.close("keep") }, "Use it")));
    this.fill();
    document.body.append(dialog);
    dialog.showModal();
    this.closed = new Promise(resolve => dialog.addEventListener("close", () => { resolve(dialog.returnValue === "keep"); dialog.remove(); }));
  }

  // Hands and faces go with the wrists and the nose; their own points are not moved one by one.
  fill() {
    this.people.forEach((person, number) => {
      for (const part of ["body", "key_points"]) if (person[part]) this.skeleton(person, part, number);
    });
  }

  skeleton(person, part, number) {
    const points = person[part];
    for (const [first, second] of LIMBS[part]) if (points[first] && points[second]) this.limb(points[first], points[second]);
    points.forEach((point, index) => { if (point) this.joint(person, part, index, number); });
  }

  limb(first, second) {
    const line = shape("line", { class: "points-limb" });
    this.lines.push(() => { for (const [name, value] of Object.entries({ x1: first[0] * this.width, y1: first[1] * this.height, x2: second[0] * this.width, y2: second[1] * this.height })) line.setAttribute(name, value); });
    this.lines.at(-1)();
    this.stage.append(line);
  }

  joint(person, part, index, number) {
    const point = person[part][index], size = Math.max(this.width, this.height) / 90, name = translated(NAMES[part][index]);
    const label = this.people.length > 1 ? `${name} ${number + 1}` : name;
    const group = shape("g", { class: "points-joint", tabindex: 0, role: "button", "aria-label": label },
      shape("circle", { r: size * 4, class: "points-reach" }), shape("circle", { r: size, class: "points-dot" }));
    const place = () => group.setAttribute("transform", `translate(${point[0] * this.width} ${point[1] * this.height})`);
    const move = (x, y) => {
      const by = [inside(x) - point[0], inside(y) - point[1]];
      point[0] += by[0];
      point[1] += by[1];
      this.follow(person, part, index, by);
      place();
      for (const line of this.lines) line();
      this.spoken.textContent = `${label}: ${Math.round(point[0] * this.width)}, ${Math.round(point[1] * this.height)}`;
    };
    group.addEventListener("keydown", event => {
      const way = KEYS[event.key], step = event.shiftKey ? SMALL : STEP;
      if (!way) return;
      event.preventDefault();
      move(point[0] + way[0] * step, point[1] + way[1] * step);
    });
    group.addEventListener("pointerdown", event => {
      const { group: nearest } = this.nearest(event);
      event.preventDefault();
      nearest.focus();
      nearest.setPointerCapture(event.pointerId);
    });
    group.addEventListener("pointermove", event => { if (group.hasPointerCapture(event.pointerId)) move(...this.at(event)); });
    place();
    this.joints.push({ group, point });
    this.stage.append(group);
  }

  // Where the pointer is, in shares of the picture.
  at({ clientX, clientY }) {
    const box = this.stage.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  }

  // The reaches of neighbours overlap: the pointer means the joint that is nearest to it.
  nearest(event) {
    const [x, y] = this.at(event), distance = ({ point }) => Math.hypot((point[0] - x) * this.width, (point[1] - y) * this.height);
    return this.joints.reduce((found, joint) => distance(joint) < distance(found) ? joint : found);
  }

  // A hand goes with its wrist, a face with its nose.
  follow(person, part, index, [x, y]) {
    const moved = part === "body" ? { 4: "right_hand", 7: "left_hand", 0: "face" }[index] : null;
    for (const point of (moved && person[moved]) || []) if (point) { point[0] += x; point[1] += y; }
  }
}
