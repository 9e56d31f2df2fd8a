/** `aquifer waypoint`: makes, shows and removes waypoints, which are Gateways, as istioctl does. */
import { stringify } from 'yaml';
import { millis } from '../../common/core/brand.ts';
import { sleep, systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { type Condition, namespaceKind } from '../../common/kube/kinds/core.ts';
import { type Gateway, gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { revisionLabel } from '../../common/kube/revisions.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { apiAccess } from '../api-access.ts';
import { formatTable } from '../table.ts';
import { stateOf } from '../wait.ts';
import {
  type DeletedWaypoints,
  parseWaypointArguments,
  type WantedWaypoint,
  type WaypointAction,
} from './arguments.ts';

export const help = `aquifer waypoint: L7 proxies of the mesh

  aquifer waypoint apply [--enroll-namespace] [--wait]   make one in the namespace
  aquifer waypoint generate                              print its YAML
  aquifer waypoint list                                  those of a namespace
  aquifer waypoint status                                what their status says
  aquifer waypoint delete NAME... | --all | --revision REVISION

  -n NAMESPACE         default: default
  -A                   of all namespaces
  --name NAME          default waypoint
  --for TYPE           service (default), workload, all or none: what it stands before
  --revision NAME      whose istiod makes it
  --enroll-namespace   the namespace's services are behind it from then on; --overwrite takes them from another one
  --wait               until it serves, for --timeout (default 90s)
  --kubeconfig FILE    default: KUBECONFIG, or the API server whose pod this is
`;

const className = 'istio-waypoint';
const useLabel = 'istio.io/use-waypoint';
const forLabel = 'istio.io/waypoint-for';

type Print = (line: string) => void;

export async function run(args: readonly string[]): Promise<number> {
  const { action, kubeconfig } = parseWaypointArguments(args);
  const print: Print = (line) => void process.stdout.write(`${line}\n`);
  if (action.kind === 'generate') {
    print(stringify(waypointGateway(action.wanted)).trimEnd());
    return 0;
  }
  const client = createKubeClient({ access: apiAccess(kubeconfig, process.env) });
  try {
    return await act(action, client, print);
  } finally {
    client.close();
  }
}

/** As it is applied. */
export function waypointGateway({ name, namespace, serves, revision }: WantedWaypoint): NewObject {
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
  client: Pick<KubeClient, 'apply' | 'list' | 'get' | 'patch' | 'delete'>,
  print: Print,
): Promise<number> {
  switch (action.kind) {
    case 'apply':
      return apply(action, client, print);
    case 'list':
    case 'status': {
      const found = await waypoints(client, action.namespace);
      if (found.length === 0) print('No waypoints found.');
      else print(action.kind === 'list' ? listTable(found, action.namespace) : statusTable(found, action.namespace));
      return 0;
    }
    case 'delete':
      return remove(action.namespace, action.which, client, print);
  }
}

type Client = Parameters<typeof act>[1];

async function apply(
  { wanted, enrol, wait }: Extract<WaypointAction, { kind: 'apply' }>,
  client: Client,
  print: Print,
): Promise<number> {
  const { name, namespace } = wanted;
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
  await client.apply(waypointGateway(wanted), { fieldManager: 'istioctl', force: false });
  print(`${title} applied`);
  if (wait !== undefined) {
    const end = systemClock.now() + wait;
    for (;;) {
      const state = stateOf(await client.get(gatewayKind, { namespace, name }), 'Programmed');
      if (state.met) break;
      if (systemClock.now() >= end) {
        print(`${title} is not ready after ${wait / 1000} s: ${state.text}`);
        return 1;
      }
      await sleep(systemClock, millis(250), new AbortController().signal);
    }
    print(`${title} is ready`);
  }
  if (enrol !== 'no') {
    await client.patch(namespaceKind, { name: namespace }, { metadata: { labels: { [useLabel]: name } } });
    print(`namespace ${namespace} labelled ${useLabel}=${name}`);
  }
  return 0;
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
