/**
 * Where everything of the graph is: namespaces are boxes, and in each one callers stand left of whom they call. The same mesh always looks
 * the same, so that eyes find again what they knew. Pure.
 */

export interface Point {
  readonly x: number;
  readonly y: number;
}
export interface Box extends Point {
  readonly name: string;
  readonly width: number;
  readonly height: number;
}
export interface Layout {
  /** By id: upper left corner. */
  readonly chips: ReadonlyMap<string, Point>;
  readonly boxes: readonly Box[];
  readonly width: number;
  readonly height: number;
}

export const chip = { width: 176, height: 46 } as const;
const gap = { x: 56, y: 18 } as const;
const margin = { side: 20, top: 46, bottom: 20 } as const;
const betweenBoxes = 40;
/** A caller of a caller and so on: further columns start from the left again. */
const maxColumns = 6;
/** A column is broken beyond so many. */
const maxRows = 14;

interface Placed {
  readonly id: string;
  readonly namespace: string;
}
interface Link {
  readonly from: string;
  readonly to: string;
}

export function layout(workloads: readonly Placed[], links: readonly Link[]): Layout {
  const ranks = ranksOf(workloads, links);
  const inside = [...Map.groupBy(workloads, (w) => w.namespace)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, members]) => arrange(name, members, ranks));
  const area = inside.reduce((sum, b) => sum + b.width * b.height, 0);
  const widest = inside.reduce((most, b) => Math.max(most, b.width), 0);
  const limit = Math.max(widest, Math.sqrt(area * 1.8));
  const chips = new Map<string, Point>();
  const boxes: Box[] = [];
  let [x, y, shelf, width] = [0, 0, 0, 0];
  for (const { name, places, ...size } of inside) {
    if (x > 0 && x + size.width > limit) {
      y += shelf + betweenBoxes;
      [x, shelf] = [0, 0];
    }
    boxes.push({ name, x, y, ...size });
    for (const [id, at] of places) chips.set(id, { x: x + at.x, y: y + at.y });
    width = Math.max(width, x + size.width);
    shelf = Math.max(shelf, size.height);
    x += size.width + betweenBoxes;
  }
  return { chips, boxes, width, height: y + shelf };
}

/** Steps from a workload that nobody calls; a circle that nobody enters is entered at its first name. */
function ranksOf(workloads: readonly Placed[], links: readonly Link[]): ReadonlyMap<string, number> {
  const callees = Map.groupBy(links, (l) => l.from);
  const called = new Set(links.filter((l) => l.from !== l.to).map((l) => l.to));
  const ranks = new Map<string, number>();
  const ids = workloads.map((w) => w.id).sort();
  const enter = (first: readonly string[]) => {
    let front = first;
    for (let rank = 0; front.length > 0; rank++) {
      const fresh = front.filter((id) => !ranks.has(id));
      for (const id of fresh) ranks.set(id, rank);
      front = fresh.flatMap((id) => (callees.get(id) ?? []).map((l) => l.to)).filter((id) => !ranks.has(id));
    }
  };
  enter(ids.filter((id) => !called.has(id)));
  for (const id of ids) if (!ranks.has(id)) enter([id]);
  return ranks;
}

function arrange(name: string, members: readonly Placed[], ranks: ReadonlyMap<string, number>) {
  const least = Math.min(...members.map((m) => ranks.get(m.id) ?? 0));
  const columns = new Map<number, string[]>();
  for (const { id } of [...members].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const column = ((ranks.get(id) ?? 0) - least) % maxColumns;
    columns.set(column, [...(columns.get(column) ?? []), id]);
  }
  const places = new Map<string, Point>();
  let [column, rows] = [0, 0];
  for (const [, ids] of [...columns].sort(([a], [b]) => a - b)) {
    for (let from = 0; from < ids.length; from += maxRows) {
      const part = ids.slice(from, from + maxRows);
      rows = Math.max(rows, part.length);
      for (const [row, id] of part.entries()) {
        const x = margin.side + column * (chip.width + gap.x);
        places.set(id, { x, y: margin.top + row * (chip.height + gap.y) });
      }
      column++;
    }
  }
  return {
    name,
    places,
    width: 2 * margin.side + column * (chip.width + gap.x) - gap.x,
    height: margin.top + margin.bottom + rows * (chip.height + gap.y) - gap.y,
  };
}
