/** What `kubectl get pods` shows. The status in one word is the most telling of phase, reasons and container states. */
import type { ApiObject } from '../objects.ts';
import type { Column } from '../resources/resource.ts';
import { age, at, listAt, numberAt, orNone, text, textAt, wide } from './columns.ts';

export const podColumns: readonly Column[] = [
  text('Ready', 'Containers that are ready, of all', (o) => {
    const ready = listAt(o, 'status', 'containerStatuses').filter((c) => at(c, 'ready') === true).length;
    return `${ready}/${listAt(o, 'spec', 'containers').length}`;
  }),
  text('Status', 'The state of the pod', podStatus),
  text('Restarts', 'Restarts of all containers', (o) =>
    String(listAt(o, 'status', 'containerStatuses').reduce((n: number, c) => n + numberAt(c, 'restartCount'), 0)),
  ),
  age,
  wide(text('IP', 'Address of the pod', (o) => orNone(textAt(o, 'status', 'podIP')))),
  wide(text('Node', 'Where it runs', (o) => orNone(textAt(o, 'spec', 'nodeName')))),
  wide(
    text('Nominated Node', 'Where it may run when others are gone', (o) =>
      orNone(textAt(o, 'status', 'nominatedNodeName')),
    ),
  ),
  wide(
    text('Readiness Gates', 'Conditions that are met, of those asked for', (o) => {
      const gates = listAt(o, 'spec', 'readinessGates').map((g) => textAt(g, 'conditionType'));
      const met = new Set(
        listAt(o, 'status', 'conditions')
          .filter((c) => textAt(c, 'status') === 'True')
          .map((c) => textAt(c, 'type')),
      );
      return gates.length === 0 ? '<none>' : `${gates.filter((g) => met.has(g)).length}/${gates.length}`;
    }),
  ),
];

function podStatus(pod: ApiObject): string {
  const reason = textAt(pod, 'status', 'reason') || textAt(pod, 'status', 'phase');
  const status = initialising(pod) ?? running(pod) ?? reason;
  if (pod.metadata.deletionTimestamp === undefined) return status;
  return textAt(pod, 'status', 'reason') === 'NodeLost' ? 'Unknown' : 'Terminating';
}

/** Of the first init container that is not done. */
function initialising(pod: ApiObject): string | undefined {
  const all = listAt(pod, 'spec', 'initContainers').length;
  for (const [i, c] of listAt(pod, 'status', 'initContainerStatuses').entries()) {
    if (at(c, 'state', 'terminated') !== undefined && numberAt(c, 'state', 'terminated', 'exitCode') === 0) continue;
    if (at(c, 'started') === true && at(c, 'state', 'running') !== undefined) continue;
    if (at(c, 'state', 'terminated') !== undefined) return `Init:${ending(c)}`;
    const waiting = textAt(c, 'state', 'waiting', 'reason');
    return waiting !== '' && waiting !== 'PodInitializing' ? `Init:${waiting}` : `Init:${i}/${all}`;
  }
  return undefined;
}

function running(pod: ApiObject): string | undefined {
  let found: string | undefined;
  let runs = false;
  for (const c of listAt(pod, 'status', 'containerStatuses').toReversed()) {
    const waiting = textAt(c, 'state', 'waiting', 'reason');
    if (waiting !== '') found = waiting;
    else if (at(c, 'state', 'terminated') !== undefined) found = ending(c);
    else if (at(c, 'ready') === true && at(c, 'state', 'running') !== undefined) runs = true;
  }
  if (found === 'Completed' && runs) return isReady(pod) ? 'Running' : 'NotReady';
  return found;
}

function ending(container: unknown): string {
  const reason = textAt(container, 'state', 'terminated', 'reason');
  if (reason !== '') return reason;
  const signal = numberAt(container, 'state', 'terminated', 'signal');
  return signal === 0 ? `ExitCode:${numberAt(container, 'state', 'terminated', 'exitCode')}` : `Signal:${signal}`;
}

function isReady(pod: ApiObject): boolean {
  return listAt(pod, 'status', 'conditions').some(
    (c) => textAt(c, 'type') === 'Ready' && textAt(c, 'status') === 'True',
  );
}
