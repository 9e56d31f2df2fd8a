/** What is known of the workload that was chosen, and `why` from there to a service. */
import type { FlowView, GraphView, ServiceView, WorkloadView } from '../views/graph.ts';
import { count, element, rate, requests } from './text.ts';
import { whyForm } from './why.ts';

export function details(w: WorkloadView, graph: GraphView, close: () => void): readonly HTMLElement[] {
  const shut = element('button', { type: 'button', 'aria-label': 'Close details' }, '×');
  shut.addEventListener('click', close);
  const services = graph.services.filter((s) => s.workloads.includes(w.id));
  return [
    element('h2', {}, `${w.name} `, shut),
    facts([
      ['Namespace', w.namespace],
      ['Kind', w.type],
      ['Pods', `${w.healthy} of ${w.pods} healthy, ${w.enrolled} in the mesh`],
      ['Identity', w.identities.join(', ')],
      ['Nodes', w.nodes.join(', ')],
      ['Policies', w.policies.join(', ') || 'none applies'],
      ['Waypoint', w.waypoint ?? 'none'],
      ['Services', services.map(described).join(', ') || 'none'],
    ]),
    element('h3', {}, 'Calls'),
    flowList(graph.flows.filter((f) => f.from === w.id).map((f) => [f.to, f] as const)),
    element('h3', {}, 'Is called by'),
    flowList(graph.flows.filter((f) => f.to === w.id).map((f) => [f.from, f] as const)),
    element('h3', {}, `Why may ${w.name} call…`),
    whyForm(w, graph),
  ];
}

function described({ hostname, requests: counted }: ServiceView): string {
  return counted === undefined ? hostname : `${hostname} (${requests(counted)})`;
}

function facts(rows: readonly (readonly [string, string])[]): HTMLElement {
  const list = element('dl');
  for (const [name, value] of rows) list.append(element('dt', {}, name), element('dd', {}, value));
  return list;
}

function flowList(flows: readonly (readonly [other: string, flow: FlowView])[]): HTMLElement {
  if (flows.length === 0) return element('p', {}, 'nobody, as far as proxies saw');
  const list = element('ul');
  for (const [other, { secured, rates, failed, opened }] of flows) {
    const speed = rates === undefined ? count(opened, 'connection') : rate(rates.bytes);
    const wrong = failed > 0 ? `, ${count(failed, 'failure')}` : '';
    list.append(element('li', {}, `${other}: ${secured ? 'mutual TLS' : 'plain text'}, ${speed}${wrong}`));
  }
  return list;
}
