// Axes of records, such as guides. The server names those of the first of them; each that is there has its own.
const named = ({ record: { name } }, number) => `${name} ${number + 1}`;

function numbered(axis, number) {
  const first = named(axis, 0), own = named(axis, number);
  return { ...axis, label: own + axis.label.slice(first.length), group: own, record: { ...axis.record, number } };
}

// How many of `records` have something to change: up to the last that is on.
const acting = (records, box) => records.findLastIndex(record => !box || record[box]) + 1;

// Of a form's values: a list's text, or a value for each of their own values.
export function recordsOf(field, values) {
  const told = values[field];
  if (told != null) return typeof told === "string" ? JSON.parse(told || "[]") : told;
  const found = [];
  for (const [name, value] of Object.entries(values)) {
    const [, number, own] = name.startsWith(`${field}[`) ? /\[(\d+)\]\.(.+)$/.exec(name) ?? [] : [];
    if (own) (found[number] ??= {})[own] = value;
  }
  return found;
}

// All axes, with `recordsOf(field)`: one record after the other, each with all of its own.
export function offeredAxes(types, recordsOf) {
  const done = new Set();
  return types.flatMap(axis => {
    if (!axis.record) return [axis];
    const { field, places, switch: box } = axis.record;
    if (done.has(field)) return [];
    done.add(field);
    const own = types.filter(one => one.record?.field === field), count = Math.min(places, acting(recordsOf(field), box));
    return Array.from({ length: count }, (_, number) => own.map(one => numbered(one, number))).flat();
  });
}

// The axis of a label, also of a record that is not there; undefined where there is none.
export function axisOf(types, label) {
  const known = types.find(one => one.label === label);
  if (known) return known;
  const at = types.find(one => one.record && label.startsWith(`${one.record.name} `) && numbered(one, numberIn(one, label)).label === label);
  return at && numbered(at, numberIn(at, label));
}

const numberIn = ({ record: { name } }, label) => parseInt(label.slice(name.length + 1), 10) - 1;
