/** The graph: workloads as chips in boxes of their namespaces, and what flows between them. */
import type { RequestFlow } from '../traffic/requests.ts';
import type { FlowView, GraphView, WorkloadView } from '../views/graph.ts';
import { details } from './details.ts';
import { chip as chipSize, type Layout, layout, type Point } from './layout.ts';
import { count, drawing, element, perSecond } from './text.ts';
import { createView, type View } from './view.ts';

export interface GraphPage {
  /** Draws what changed; what the user chose and where they look stays. */
  update(graph: GraphView): void;
}

export function openGraph(main: HTMLElement): GraphPage {
  const scene = element('div', { class: 'scene' });
  const panel = element('aside', { 'aria-label': 'Details', hidden: '' });
  main.replaceChildren(scene, panel);
  let shape = '';
  let drawn: Drawn | undefined;
  return {
    update(graph) {
      const next = JSON.stringify([graph.workloads.map((w) => w.id), graph.flows.map((f) => [f.from, f.to])]);
      if (next !== shape || drawn === undefined) {
        shape = next;
        drawn = draw(scene, panel, graph, drawn?.chosen);
      }
      drawn.update(graph);
    },
  };
}

interface Drawn {
  readonly chosen: string | undefined;
  update(graph: GraphView): void;
}

function draw(scene: HTMLElement, panel: HTMLElement, first: GraphView, chosenBefore: string | undefined): Drawn {
  const places = layout(first.workloads, first.flows);
  const { width, height } = places;
  const lines = drawing('g', { 'aria-hidden': 'true' });
  const chips = drawing('g');
  const svg = drawing(
    'svg',
    { width, height, viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': 'Workloads of the mesh' },
    ...places.boxes.map(boxOf),
    lines,
    chips,
  );
  const legend = element('p', { class: 'legend' });
  const view = createView(scene, svg, { width, height });
  scene.replaceChildren(svg, legend, toolsFor(view));
  let graph = first;
  let chosen = chosenBefore;
  const byId = new Map<string, SVGGElement>();
  const paths = new Map<string, SVGPathElement>();

  const choose = (id: string | undefined) => {
    chosen = id;
    for (const [other, chip] of byId) chip.classList.toggle('chosen', other === id);
    for (const [key, path] of paths) path.classList.toggle('near', id !== undefined && key.split(' ').includes(id));
    svg.classList.toggle('chosen-one', id !== undefined);
    panel.hidden = id === undefined;
    const workload = graph.workloads.find((w) => w.id === id);
    if (workload !== undefined) panel.replaceChildren(...details(workload, graph, () => choose(undefined)));
  };
  const focus = (id: string) => {
    for (const chip of byId.values()) chip.setAttribute('tabindex', '-1');
    const chip = byId.get(id);
    chip?.setAttribute('tabindex', '0');
    chip?.focus({ preventScroll: true });
    const at = places.chips.get(id);
    if (at !== undefined) view.reveal({ ...at, ...chipSize });
  };
  for (const [i, workload] of first.workloads.entries()) {
    const chip = chipOf(workload, places);
    chip.setAttribute('tabindex', i === 0 ? '0' : '-1');
    chip.addEventListener('click', () => choose(workload.id));
    byId.set(workload.id, chip);
    chips.append(chip);
  }
  for (const flow of first.flows) {
    const key = keyOf(flow);
    if (paths.has(key)) continue;
    const path = pathOf(flow, places);
    if (path === undefined) continue;
    paths.set(key, path);
    lines.append(path);
  }
  svg.addEventListener('keydown', (event) => {
    const id = [...byId].find(([, chip]) => chip === document.activeElement)?.[0];
    if (id === undefined) return;
    const direction = directions[event.key];
    if (direction !== undefined) {
      const next = nearest(places.chips, id, direction);
      if (next !== undefined) focus(next);
    } else if (event.key === 'Enter' || event.key === ' ') choose(id);
    else if (event.key === 'Escape') choose(undefined);
    else if (event.key === '+' || event.key === '-') view.zoom(event.key === '+' ? 1.25 : 0.8);
    else if (event.key === '0') view.fit();
    else return;
    event.preventDefault();
  });
  view.fit();
  if (chosen !== undefined) choose(chosen);
  return {
    get chosen() {
      return chosen;
    },
    update(next) {
      graph = next;
      const answered = requestsByWaypoint(next);
      for (const workload of next.workloads) tell(byId.get(workload.id), workload, answered.get(workload.id));
      const failing = new Set(next.services.filter((s) => (s.requests?.rates?.failed ?? 0) > 0).map((s) => s.id));
      for (const [key, flows] of Map.groupBy(next.flows, keyOf)) tellFlow(paths.get(key), flows, failing);
      const silent = next.silentProxies;
      const missing = silent > 0 ? `; ${count(silent, 'proxy does', 'proxies do')} not tell rates` : '';
      legend.textContent = `${count(next.workloads.length, 'workload')}; solid: mutual TLS, dashed: plain text, red: failing${missing}`;
      // What was chosen may be gone.
      if (chosen !== undefined && !next.workloads.some((w) => w.id === chosen)) choose(undefined);
    },
  };
}

const directions: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** The next one that way: sidewards counts more than onwards. */
function nearest(chips: ReadonlyMap<string, Point>, from: string, way: Point): string | undefined {
  const here = chips.get(from)!;
  let best: { readonly id: string; readonly distance: number } | undefined;
  for (const [id, at] of chips) {
    const [dx, dy] = [at.x - here.x, at.y - here.y];
    const onwards = dx * way.x + dy * way.y;
    if (onwards <= 0) continue;
    const distance = onwards + 3 * Math.abs(dx * way.y + dy * way.x);
    if (best === undefined || distance < best.distance) best = { id, distance };
  }
  return best?.id;
}

function toolsFor(view: View): HTMLElement {
  const button = (sign: string, label: string, run: () => void) => {
    const made = element('button', { type: 'button', 'aria-label': label, title: label }, sign);
    made.addEventListener('click', run);
    return made;
  };
  return element(
    'div',
    { class: 'tools' },
    button('+', 'Closer', () => view.zoom(1.25)),
    button('−', 'Farther', () => view.zoom(0.8)),
    button('⤢', 'Show all', () => view.fit()),
  );
}

function boxOf({ name, x, y, width, height }: Layout['boxes'][number]): SVGGElement {
  return drawing(
    'g',
    {},
    drawing('rect', { class: 'namespace', x, y, width, height, rx: 10 }),
    drawing('text', { class: 'namespace-name', x: x + 14, y: y + 31 }, name),
  );
}

function chipOf(workload: WorkloadView, { chips }: Layout): SVGGElement {
  const { x, y } = chips.get(workload.id)!;
  const { width, height } = chipSize;
  return drawing(
    'g',
    { class: 'chip', role: 'button', transform: `translate(${x} ${y})` },
    drawing('rect', { width, height, rx: 8 }),
    drawing('text', { x: 12, y: 19 }, shortened(workload.name)),
    drawing('path', { class: 'lock', d: lock }),
    drawing('text', { class: 'more', x: 12, y: 36 }),
  );
}

/** Drawn, since not every machine has a letter for it: 8 by 10, left of the second line. */
const lock = 'M12 31h8v6h-8zM13.5 31v-2a2.5 2.5 0 0 1 5 0v2h-1.4v-2a1.1 1.1 0 0 0-2.2 0v2z';

function shortened(name: string): string {
  return name.length > 22 ? `${name.slice(0, 21)}…` : name;
}

/** Requests that waypoints answered a second, and those with 5xx, by the id of the waypoint's workload, which has its name. */
function requestsByWaypoint({ services }: GraphView): ReadonlyMap<string, RequestFlow['rates']> {
  const found = new Map<string, NonNullable<RequestFlow['rates']>>();
  for (const { waypoint, requests } of services) {
    if (waypoint === undefined || requests?.rates === undefined) continue;
    const { answered, refused, failed } = requests.rates;
    const sum = found.get(waypoint) ?? { answered: 0, refused: 0, failed: 0 };
    found.set(waypoint, {
      answered: sum.answered + answered,
      refused: sum.refused + refused,
      failed: sum.failed + failed,
    });
  }
  return found;
}

function tell(chip: SVGGElement | undefined, w: WorkloadView, answered: RequestFlow['rates']): void {
  if (chip === undefined) return;
  const policies = w.policies.length > 0 ? `, ${count(w.policies.length, 'policy', 'policies')}` : '';
  const failing = answered !== undefined && answered.failed > 0;
  const wrong = failing ? `, ${perSecond((100 * answered.failed) / answered.answered)}% 5xx` : '';
  const healthy = `${w.healthy}/${w.pods}`;
  const requests = answered === undefined ? undefined : `${perSecond(answered.answered)} req/s${wrong}`;
  // Not all of it has room.
  const shown = requests === undefined ? `${healthy} healthy${policies}` : `${healthy}, ${requests}`;
  const text = chip.querySelector('.more')!;
  const state = w.enrolled === w.pods ? 'locked' : w.enrolled === 0 ? 'open' : 'partly';
  if (text.textContent === shown && chip.classList.contains(state)) return;
  text.textContent = shown;
  text.setAttribute('x', state === 'open' ? '12' : '25');
  for (const other of ['locked', 'partly', 'open']) chip.classList.toggle(other, other === state);
  chip.classList.toggle('sick', w.healthy < w.pods || failing);
  const secured = w.enrolled === w.pods ? 'in the mesh' : w.enrolled === 0 ? 'not in the mesh' : 'partly in the mesh';
  const more = `${healthy} healthy${policies}${requests === undefined ? '' : `, ${requests}`}`;
  chip.setAttribute('aria-label', `${w.name} of ${w.namespace}: ${more}, ${secured}`);
}

function keyOf({ from, to }: FlowView): string {
  return `${from} ${to}`;
}

function pathOf({ from, to }: FlowView, { chips }: Layout): SVGPathElement | undefined {
  const [a, b] = [chips.get(from), chips.get(to)];
  if (a === undefined || b === undefined) return undefined;
  const { width, height } = chipSize;
  const forwards = b.x >= a.x + width;
  const start = { x: a.x + (forwards ? width : width / 2), y: a.y + (forwards ? height / 2 : height) };
  const end = { x: b.x + (forwards ? 0 : width / 2), y: b.y + (forwards ? height / 2 : height) };
  const bend = forwards ? Math.max(30, (end.x - start.x) / 2) : 40;
  const [one, two] = forwards
    ? [`${start.x + bend} ${start.y}`, `${end.x - bend} ${end.y}`]
    : [`${start.x} ${start.y + bend}`, `${end.x} ${end.y + bend}`];
  return drawing('path', { class: 'flow', d: `M${start.x} ${start.y} C${one} ${two} ${end.x} ${end.y}` });
}

/** A waypoint does not tell who got an answer with 5xx: all who ask that service are shown failing. */
function tellFlow(
  path: SVGPathElement | undefined,
  flows: readonly FlowView[],
  failingServices: ReadonlySet<string>,
): void {
  if (path === undefined) return;
  const rates = flows.flatMap((f) => f.rates ?? []);
  const bytes = rates.reduce((sum, r) => sum + r.bytes, 0);
  const failed = rates.reduce((sum, r) => sum + r.failed, 0);
  path.classList.toggle(
    'secured',
    flows.every((f) => f.secured || f.opened === 0),
  );
  const answered5xx = flows.some((f) => f.service !== undefined && failingServices.has(f.service));
  path.classList.toggle('failing', failed > 0 || answered5xx);
  const width = bytes > 0 ? 1.5 + Math.min(4, Math.log10(1 + bytes / 1000)) : 1.5;
  path.style.strokeWidth = String(width);
}
