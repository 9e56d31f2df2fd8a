/** `aquifer waypoint`: makes, shows and removes waypoints, which are Gateways, as istioctl does. */
import { stringify } from 'yaml';
import { type Millis, millis } from '../../common/core/brand.ts';
import { sleep, systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { KubeClient } from '../../common/kube/client/client.ts';
import { type Condition, namespaceKind } from '../../common/kube/kinds/core.ts';
import { type Gateway, gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { revisionLabel } from '../../common/kube/revisions.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { withCluster } from '../access/cluster.ts';
import { formatTable } from '../table.ts';
import { stateOf } from '../wait.ts';
import {
  type DeletedWaypoints,
  parseWaypointArguments,
  type WantedWaypoint,
  type WaypointAction,
} from './arguments.ts';

const className = 'istio-waypoint';
const useLabel = 'istio.io/use-waypoint';
const forLabel = 'istio.io/waypoint-for';

type Print = (line: string) => void;

export async function run(kind: WaypointAction['kind'], args: readonly string[]): Promise<number> {
  const { action, connection } = parseWaypointArguments(kind, args);
  const print: Print = (line) => void process.stdout.write(`${line}\n`);
  if (action.kind === 'generate') {
    print(stringify(waypointGateway(action.wanted, connection.namespace)).trimEnd());
    return 0;
  }
  return withCluster(connection, process.env, (cluster) => act(action, cluster, print));
}

/** As it is applied. */
export function waypointGateway({ name, serves, revision }: WantedWaypoint, namespace: string | undefined): NewObject {
  const labels = {
    ...(serves !== undefined && { [forLabel]: serves }),
    ...(revision !== undefined && { [revisionLabel]: revision }),
  };
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(Object.keys(labels).length > 0 && { labels }),
    },
    spec: {
      gatewayClassName: className,
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
    },
  };
}

/** The exit code. MeshError. */
export async function act(
  action: Exclude<WaypointAction, { kind: 'generate' }>,
  { client, namespace }: Place,
  print: Print,
): Promise<number> {
  switch (action.kind) {
    case 'apply':
      return apply(action, { client, namespace }, print);
    case 'list':
    case 'status': {
      const within = action.everywhere ? undefined : namespace;
      const found = await waypoints(client, within);
      if (found.length === 0) print('No waypoints found.');
      else if (action.kind === 'list') print(listTable(found, within));
      else return status(found, within, action.wait, client, print);
      return 0;
    }
    case 'delete':
      return remove(namespace, action.which, client, print);
  }
}

export interface Place {
  readonly client: Pick<KubeClient, 'apply' | 'list' | 'get' | 'patch' | 'delete'>;
  readonly namespace: string;
}

type Client = Place['client'];

async function apply(
  { wanted, enrol, wait }: Extract<WaypointAction, { kind: 'apply' }>,
  { client, namespace }: Place,
  print: Print,
): Promise<number> {
  const { name } = wanted;
  const title = `waypoint ${namespace}/${name}`;
  const labels = enrol === 'no' ? {} : await namespaceLabels(client, namespace);
  const other = labels[useLabel];
  if (enrol === 'unless-another' && other !== undefined && other !== name) {
    print(`namespace ${namespace} is behind waypoint ${other}; --overwrite puts it behind this one`);
    return 1;
  }
  if (enrol !== 'no' && labels['istio.io/dataplane-mode'] !== 'ambient') {
    print(
      `warning: namespace ${namespace} is not in the mesh; kubectl label namespace ${namespace} istio.io/dataplane-mode=ambient`,
    );
  }
  await client.apply(waypointGateway(wanted, namespace), { fieldManager: 'istioctl', force: false });
  print(`${title} applied`);
  if (wait !== undefined) {
    const state = await programmed(client, { namespace, name }, systemClock.now() + wait);
    if (!state.met) {
      print(`${title} is not ready after ${wait / 1000} s: ${state.text}`);
      return 1;
    }
    print(`${title} is ready`);
  }
  if (enrol !== 'no') {
    await client.patch(namespaceKind, { name: namespace }, { metadata: { labels: { [useLabel]: name } } });
    print(`namespace ${namespace} labelled ${useLabel}=${name}`);
  }
  return 0;
}

/** What its status says once it serves, or at the end. */
async function programmed(client: Client, key: { namespace: string; name: string }, end: number) {
  for (;;) {
    const state = stateOf(await client.get(gatewayKind, key), 'Programmed');
    if (state.met || systemClock.now() >= end) return state;
    await sleep(systemClock, millis(250), new AbortController().signal);
  }
}

/** Tells what is also where one does not get ready in time. */
async function status(
  found: readonly Gateway[],
  within: string | undefined,
  wait: Millis | undefined,
  client: Client,
  print: Print,
): Promise<number> {
  const end = systemClock.now() + (wait ?? 0);
  const keyOf = ({ metadata: { namespace = 'default', name } }: Gateway) => ({ namespace, name });
  const states = wait === undefined ? [] : await Promise.all(found.map((g) => programmed(client, keyOf(g), end)));
  const now = wait === undefined ? found : await waypoints(client, within);
  print(statusTable(now, within));
  return states.every((s) => s.met) ? 0 : 1;
}

async function namespaceLabels(client: Client, name: string): Promise<Readonly<Record<string, string>>> {
  const found = await client.get(namespaceKind, { name });
  if (found === undefined) throw new MeshError('NOT_FOUND', `namespace ${name} does not exist`);
  return found.metadata.labels ?? {};
}

async function waypoints(client: Client, namespace: string | undefined): Promise<readonly Gateway[]> {
  const within = namespace === undefined ? {} : { namespace };
  const { items } = await client.list(gatewayKind, new AbortController().signal, { within });
  const key = ({ metadata }: Gateway) => `${metadata.namespace}/${metadata.name}`;
  return items
    .filter(
      (g) => g.spec.gatewayClassName === className && g.metadata.namespace === (namespace ?? g.metadata.namespace),
    )
    .sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function listTable(found: readonly Gateway[], namespace: string | undefined): string {
  const own = namespace === undefined ? ['NAMESPACE'] : [];
  const rows = found.map((g) => [
    ...(namespace === undefined ? [g.metadata.namespace ?? ''] : []),
    g.metadata.name,
    g.metadata.labels?.[revisionLabel] ?? 'default',
    g.metadata.labels?.[forLabel] ?? 'service',
    conditionsOf(g).find((c) => c.type === 'Programmed')?.status ?? 'Unknown',
  ]);
  return formatTable([...own, 'NAME', 'REVISION', 'TRAFFIC TYPE', 'PROGRAMMED'], rows);
}

function statusTable(found: readonly Gateway[], namespace: string | undefined): string {
  const own = namespace === undefined ? ['NAMESPACE'] : [];
  const rows = found.flatMap((g) =>
    conditionsOf(g).map((c) => [
      ...(namespace === undefined ? [g.metadata.namespace ?? ''] : []),
      ...[g.metadata.name, c.status, c.type, c.reason ?? '', c.message ?? ''],
    ]),
  );
  return formatTable([...own, 'NAME', 'STATUS', 'TYPE', 'REASON', 'MESSAGE'], rows);
}

function conditionsOf({ status }: Gateway): readonly Condition[] {
  return (status?.conditions ?? []) as readonly Condition[];
}

async function remove(namespace: string, which: DeletedWaypoints, client: Client, print: Print): Promise<number> {
  const found = await waypoints(client, namespace);
  const isMeant = ({ metadata: { name, labels } }: Gateway) =>
    which.kind === 'all' ||
    (which.kind === 'named' ? which.names.includes(name) : labels?.[revisionLabel] === which.revision);
  const meant = found.filter(isMeant);
  for (const { metadata } of meant) {
    await client.delete(gatewayKind, { namespace, name: metadata.name }, { uid: metadata.uid });
    print(`waypoint ${namespace}/${metadata.name} deleted`);
  }
  const missing = which.kind === 'named' ? which.names.filter((n) => !meant.some((g) => g.metadata.name === n)) : [];
  for (const name of missing) print(`there is no waypoint ${namespace}/${name}`);
  if (which.kind !== 'named' && meant.length === 0) print('No waypoints found.');
  return missing.length > 0 ? 1 : 0;
}
