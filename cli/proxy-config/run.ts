/** `aquifer proxy-config SUBJECT`. */
import { assertNever, MeshError } from '../../common/core/errors.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { askAdmin, portOf } from '../access/admin.ts';
import { withCluster } from '../access/cluster.ts';
import { readDump } from '../access/files.ts';
import { findPod } from '../access/pods.ts';
import { noOperands, oneOf, oneOperand, readArguments } from '../arguments.ts';
import type { ConnectionValues } from '../connection-options.ts';
import { print, printAs } from '../print.ts';
import { formatTable } from '../table.ts';
import { chosenClusters, clusterTable } from './clusters.ts';
import { type EnvoyDump, type Json, parseClusterStatuses, parseEnvoyDump } from './dump.ts';
import { chosenClusters as chosenStatuses, endpointTable } from './endpoints.ts';
import { chosenListeners, listenerTable, waypointListenerTable } from './listeners.ts';
import { options, type Subject } from './options.ts';
import { chosenRoutes, routeTable } from './routes.ts';
import { secretTable } from './secrets.ts';
import type { Table } from './table.ts';

export async function show(subject: Subject, args: readonly string[]): Promise<number> {
  switch (subject) {
    case 'cluster': {
      const { values, positionals } = readArguments('proxy-config cluster', args, options.cluster);
      return shown(values, positionals, {
        short: ({ clusters }) => clusterTable(chosenClusters(clusters, values)),
        whole: ({ clusters }) => chosenClusters(clusters, values),
      });
    }
    case 'listener': {
      const { values, positionals } = readArguments('proxy-config listener', args, options.listener);
      return shown(values, positionals, {
        short: (dump) => listeners(dump, values),
        whole: (dump) => chosenListeners(dump.listeners, values),
      });
    }
    case 'route': {
      const { values, positionals } = readArguments('proxy-config route', args, options.route);
      return shown(values, positionals, {
        short: ({ routes }) => routeTable(chosenRoutes(routes, values.name), values.verbose),
        whole: ({ routes }) => chosenRoutes(routes, values.name),
      });
    }
    case 'endpoint': {
      const { values, positionals } = readArguments('proxy-config endpoint', args, options.endpoint);
      const { from, text } = await pageOf(values, positionals, '/clusters?format=json');
      const statuses = parseClusterStatuses(from, text);
      return printed(values.output, endpointTable(statuses, values), () => chosenStatuses(statuses, values));
    }
    case 'secret': {
      const { values, positionals } = readArguments('proxy-config secret', args, options.secret);
      return shown(values, positionals, {
        short: ({ secrets }) => (secrets.length === 0 ? 'No secret items to show.' : secretTable(secrets, Date.now())),
        whole: ({ secrets }) => secrets.map(({ secret }) => withoutKeys(secret)),
      });
    }
    case 'bootstrap': {
      const { values, positionals } = readArguments('proxy-config bootstrap', args, options.bootstrap);
      const bootstrap = ({ bootstrap: found }: EnvoyDump): Json => {
        if (found !== undefined) return found;
        throw new MeshError(
          'NOT_FOUND',
          'this proxy has no bootstrap: our own waypoint takes its settings from its environment; kubectl get pod -o yaml shows it',
        );
      };
      return shown(values, positionals, {
        short: (dump) => {
          const metadata = (bootstrap(dump)['node'] as Json | undefined)?.['metadata'] as Json | undefined;
          return `Istio Version: ${metadata?.['ISTIO_VERSION'] ?? 'unknown'}`;
        },
        whole: bootstrap,
      });
    }
    case 'all': {
      const { values, positionals } = readArguments('proxy-config all', args, options.all);
      return shown(values, positionals, { short: (dump) => everything(dump, values), whole: (dump) => dump.whole });
    }
    default:
      return assertNever(subject);
  }
}

interface View {
  readonly short: (dump: EnvoyDump) => Table | string;
  readonly whole: (dump: EnvoyDump) => unknown;
}

type Values = ConnectionValues & {
  readonly file?: string | undefined;
  readonly output: string;
  readonly 'proxy-admin-port': string;
};

async function shown(values: Values, positionals: readonly string[], { short, whole }: View): Promise<number> {
  const { from, text } = await pageOf(values, positionals, '/config_dump');
  const dump = parseEnvoyDump(from, text);
  const format = oneOf('--output', values.output, 'short', 'json', 'yaml');
  if (format !== 'short') return printed(format, '', () => whole(dump));
  return printed(format, short(dump), () => undefined);
}

async function printed(output: string, short: Table | string, whole: () => unknown): Promise<number> {
  const format = oneOf('--output', output, 'short', 'json', 'yaml');
  if (format !== 'short') await printAs(format, whole());
  else print(typeof short === 'string' ? short : formatTable(short.header, short.rows));
  return 0;
}

/** Of the file, or of the pod's admin port. */
async function pageOf(
  values: Values,
  positionals: readonly string[],
  path: string,
): Promise<{ readonly from: string; readonly text: string }> {
  const { file } = values;
  if (file !== undefined) {
    noOperands('proxy-config --file', positionals);
    return { from: file, text: await readDump(file) };
  }
  return adminPage(values, oneOperand('proxy-config', 'one pod, or --file', positionals), path);
}

/** Of the waypoint's admin port. */
export async function adminPage(
  values: ConnectionValues & { readonly 'proxy-admin-port': string },
  name: string,
  path: string,
): Promise<{ readonly from: string; readonly text: string }> {
  const port = portOf('--proxy-admin-port', values['proxy-admin-port']);
  return withCluster(values, process.env, async (cluster) => {
    const pod = await findPod(cluster, name, cluster.namespace);
    const from = `pod ${pod.metadata.namespace}/${pod.metadata.name}`;
    if (isZtunnel(pod))
      throw new MeshError('CONFIG', `${from} is a ztunnel; aquifer ztunnel-config shows what it knows`);
    return { from, text: await askAdmin(cluster, pod, port, path) };
  });
}

function isZtunnel({ metadata }: Pod): boolean {
  return metadata.labels?.['app'] === 'ztunnel';
}

interface ListenerValues {
  readonly address?: string | undefined;
  readonly port?: string | undefined;
  readonly type?: string | undefined;
  readonly verbose: boolean;
  readonly waypoint?: boolean | undefined;
}

function listeners(dump: EnvoyDump, values: ListenerValues): Table {
  const chosen = chosenListeners(dump.listeners, values);
  return values.waypoint ? waypointListenerTable(chosen) : listenerTable(chosen, values.verbose);
}

function everything(
  dump: EnvoyDump,
  values: ListenerValues & {
    readonly name?: string | undefined;
    readonly 'with-headers'?: boolean | undefined;
  } & Parameters<typeof chosenClusters>[1],
): string {
  const parts: readonly (readonly [title: string, table: Table])[] = [
    ['CLUSTER INFO', clusterTable(chosenClusters(dump.clusters, values))],
    ['LISTENER INFO', listeners(dump, values)],
    ['ROUTE INFO', routeTable(chosenRoutes(dump.routes, values.name), values.verbose)],
    ['SECRET INFO', secretTable(dump.secrets, Date.now())],
  ];
  const title = (text: string) => (values['with-headers'] ? `------ ${text} ------\n\n` : '');
  return parts.map(([name, { header, rows }]) => `${title(name)}${formatTable(header, rows)}`).join('\n\n');
}

/** Envoy redacts them itself; a file may come from anywhere. */
function withoutKeys(secret: Json): Json {
  const certificate = secret['tls_certificate'] as Json | undefined;
  if (certificate?.['private_key'] === undefined) return secret;
  return { ...secret, tls_certificate: { ...certificate, private_key: { inline_string: '[redacted]' } } };
}
