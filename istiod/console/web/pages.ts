/** Every page: what it asks for, and how it shows the answer. */
import type { CertificatesView } from '../views/certificates.ts';
import type { GraphView, ServiceView } from '../views/graph.ts';
import type { ObjectView } from '../views/objects.ts';
import { ask } from './client.ts';
import { openGraph } from './graph.ts';
import { showObject } from './object.ts';
import { type Cell, openTable, type Rows } from './table.ts';
import { perSecond, when } from './text.ts';

export interface OpenPage {
  /** Asks and shows; again every few seconds. */
  refresh(): Promise<void>;
}

export const pages: Readonly<Record<string, (main: HTMLElement) => OpenPage>> = {
  graph(main) {
    const page = openGraph(main);
    return { refresh: async () => page.update(await ask<GraphView>('graph')) };
  },
  workloads: (main) => tableOf<GraphView>(main, 'Workloads', 'graph', workloadRows),
  services: (main) => tableOf<GraphView>(main, 'Services', 'graph', serviceRows),
  config: (main) => tableOf<readonly ObjectView[]>(main, 'Configuration', 'objects', objectRows),
  certificates: (main) => tableOf<CertificatesView>(main, 'Certificates', 'certificates', certificateRows),
};

function tableOf<T>(main: HTMLElement, title: string, page: string, rowsOf: (answer: T) => Rows): OpenPage {
  const table = openTable(main, title);
  return { refresh: async () => table.update(rowsOf(await ask<T>(page))) };
}

function workloadRows({ workloads }: GraphView): Rows {
  return {
    what: ['workload', 'workloads'],
    columns: ['Workload', 'Namespace', 'Healthy', 'In the mesh', 'Identity', 'Policies', 'Waypoint'],
    rows: workloads.map((w) => [
      w.name,
      w.namespace,
      { text: `${w.healthy}/${w.pods}`, class: w.healthy < w.pods ? 'number wrong' : 'number' },
      { text: `${w.enrolled}/${w.pods}`, class: w.enrolled < w.pods ? 'number waiting' : 'number ok' },
      w.identities.join(', '),
      w.policies.join(', '),
      w.waypoint ?? '',
    ]),
  };
}

function serviceRows({ services }: GraphView): Rows {
  return {
    what: ['service', 'services'],
    columns: [
      'Service',
      'Namespace',
      'Hostname',
      'Addresses',
      'Ports',
      'Healthy',
      'Waypoint',
      'Requests/s',
      'With 4xx',
      'With 5xx',
    ],
    rows: services.map((s) => [
      s.name,
      s.namespace,
      s.hostname,
      s.addresses.join(', '),
      s.ports.join(', '),
      { text: `${s.healthy}/${s.endpoints}`, class: s.healthy === 0 ? 'number wrong' : 'number' },
      s.waypoint ?? '',
      ...requestCells(s),
    ]),
  };
}

/** Empty where no waypoint counts. */
function requestCells({ requests }: ServiceView): readonly Cell[] {
  const rates = requests?.rates;
  const number = (n: number | undefined, state = '') => ({
    text: n === undefined ? '' : perSecond(n),
    class: n ? `number ${state}` : 'number',
  });
  return [number(rates?.answered), number(rates?.refused, 'waiting'), number(rates?.failed, 'wrong')];
}

function objectRows(objects: readonly ObjectView[]): Rows {
  return {
    what: ['object', 'objects'],
    columns: ['Name', 'Namespace', 'Kind', 'State', 'Programmed', 'What is said of it'],
    rows: objects.map((o) => [
      { text: o.name, open: () => showObject(o) },
      o.namespace,
      o.kind,
      { text: o.state, class: o.state },
      { text: o.programmed ?? '', class: 'number' },
      o.conditions
        .filter((c) => c.status !== 'True' || o.state === 'ok')
        .map((c) => `${c.type} ${c.status}${c.message === '' ? '' : `: ${c.message}`}`)
        .join('; '),
    ]),
  };
}

/** Ms; proxies renew theirs long before. */
const soon = 3_600_000;

function certificateRows({ roots, certificates }: CertificatesView): Rows {
  const now = Date.now();
  const ends = (at: number) => ({
    text: `${when(at, now)} (${new Date(at).toISOString()})`,
    class: at < now ? 'wrong' : at < now + soon ? 'waiting' : 'ok',
  });
  return {
    what: ['certificate', 'certificates'],
    columns: ['Identity', 'Holder', 'Issued', 'Ends'],
    rows: [
      ...roots.map((r) => [`root ${r.id}`, 'the mesh', '', ends(r.notAfter)]),
      ...certificates.map((c) => [c.identity, c.holder, when(c.issuedAt, now), ends(c.notAfter)]),
    ],
  };
}
