/** What is known of the workload that was chosen, and `why` from there to a service. */
import type { FlowView, GraphView, WorkloadView } from '../views/graph.ts';
import type { WhyView } from '../views/why.ts';
import { ask } from './client.ts';
import { count, element, rate } from './text.ts';

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
      ['Services', services.map((s) => s.hostname).join(', ') || 'none'],
    ]),
    element('h3', {}, 'Calls'),
    flowList(graph.flows.filter((f) => f.from === w.id).map((f) => [f.to, f] as const)),
    element('h3', {}, 'Is called by'),
    flowList(graph.flows.filter((f) => f.to === w.id).map((f) => [f.from, f] as const)),
    element('h3', {}, `Why may ${w.name} call…`),
    whyForm(w, graph),
  ];
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

function whyForm(w: WorkloadView, graph: GraphView): HTMLElement {
  const service = element('select', { 'aria-label': 'Service' });
  for (const s of graph.services) {
    for (const port of s.ports) {
      service.append(element('option', { value: `${s.id} ${port}` }, `${s.name}.${s.namespace}:${port}`));
    }
  }
  const answer = element('div', { role: 'status', 'aria-live': 'polite' });
  const form = element('form', { class: 'why' }, service, element('button', { type: 'submit' }, 'Why'), answer);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const [to = '', port = ''] = service.value.split(' ');
    ask<WhyView>('why', { from: w.id, to, port }).then(
      (view) => answer.replaceChildren(verdict(view)),
      (e: unknown) => answer.replaceChildren(element('p', { class: 'verdict' }, (e as Error).message)),
    );
  });
  return form;
}

function verdict({ allowed, by, source, destination, policies, open }: WhyView): HTMLElement {
  const list = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : [element('h3', {}, title), element('ul', {}, ...lines.map((l) => element('li', {}, l)))];
  return element(
    'div',
    { class: allowed ? 'verdict allowed' : 'verdict' },
    element('strong', {}, allowed ? 'It may' : 'It may not'),
    `, by ${by}`,
    ...list('At the source', source),
    ...list('At the destination', destination),
    ...list('Policies that were asked', policies),
    ...list('What this leaves open', open),
  );
}
