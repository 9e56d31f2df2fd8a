/** The question whether a workload may call a service, and its answer; where a waypoint is on the way, about one request. */
import type { GraphView, ServiceView, WorkloadView } from '../views/graph.ts';
import type { WhyView } from '../views/why.ts';
import { ask } from './client.ts';
import { element } from './text.ts';

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export function whyForm(w: WorkloadView, graph: GraphView): HTMLElement {
  const targets = graph.services.flatMap((service) => service.ports.map((port) => ({ service, port })));
  const select = element(
    'select',
    { 'aria-label': 'Service' },
    ...targets.map(({ service: s, port }, i) =>
      element('option', { value: String(i) }, `${s.name}.${s.namespace}:${port}`),
    ),
  );
  const method = element('select', { 'aria-label': 'Method' }, ...methods.map((m) => element('option', {}, m)));
  const path = element('input', { 'aria-label': 'Path', value: '/', spellcheck: 'false', autocomplete: 'off' });
  const headers = element('textarea', { 'aria-label': 'Headers', placeholder: 'name: value', rows: '2' });
  const request = element('fieldset', {}, element('legend', {}, 'A request, for the waypoint'), method, path, headers);
  const answer = element('div', { role: 'status', 'aria-live': 'polite' });
  const button = element('button', { type: 'submit' }, 'Why');
  const form = element('form', { class: 'why' }, select, request, button, answer);
  const adapt = () => {
    request.hidden = !behindWaypoint(targets[Number(select.value)]?.service, w);
  };
  adapt();
  select.addEventListener('change', adapt);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const target = targets[Number(select.value)];
    if (target === undefined) return;
    const query = new URLSearchParams({ from: w.id, to: target.service.id, port: String(target.port) });
    if (!request.hidden) {
      query.set('method', method.value);
      query.set('path', path.value);
      for (const line of headers.value.split('\n')) if (line.trim() !== '') query.append('header', line);
    }
    ask<WhyView>('why', query).then(
      (view) => answer.replaceChildren(verdict(view)),
      (e: unknown) => answer.replaceChildren(element('p', { class: 'verdict' }, (e as Error).message)),
    );
  });
  return form;
}

/** Who is outside of the mesh goes past it. */
function behindWaypoint(service: ServiceView | undefined, w: WorkloadView): boolean {
  return service?.waypoint !== undefined && w.enrolled > 0;
}

function verdict({ allowed, by, source, destination, policies, open }: WhyView): HTMLElement {
  const list = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : [element('h3', {}, title), element('ul', {}, ...lines.map((l) => element('li', {}, l)))];
  return element(
    'div',
    { class: allowed ? 'verdict allowed' : 'verdict' },
    element('strong', {}, allowed ? 'It may' : 'It may not'),
    `, by ${by}`,
    ...list('On the way there', source),
    ...list('At the destination', destination),
    ...list('Policies that were asked', policies),
    ...list('What this leaves open', open),
  );
}
