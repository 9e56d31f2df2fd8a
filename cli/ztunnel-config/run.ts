/** `aquifer ztunnel-config SUBJECT`. */
import { assertNever } from '../../common/core/errors.ts';
import { askAdmin, portOf } from '../access/admin.ts';
import { withCluster } from '../access/cluster.ts';
import { readDump } from '../access/files.ts';
import { oneOf, readArguments, UsageError } from '../arguments.ts';
import { print, printAs } from '../print.ts';
import { formatTable } from '../table.ts';
import { parseZtunnelDump, type ZtunnelDump } from './dump.ts';
import { options, type Subject } from './options.ts';
import {
  certificateTable,
  connectionTable,
  policiesOf,
  policyTable,
  servicesOf,
  serviceTable,
  statesOf,
  type Table,
  workloadsOf,
  workloadTable,
} from './tables.ts';
import { type Target, targetOf } from './target.ts';

type Workload = Target['workload'];

export async function show(subject: Subject, args: readonly string[]): Promise<number> {
  switch (subject) {
    case 'workload': {
      const { values, positionals } = readArguments('ztunnel-config workload', args, options.workload);
      const { address, 'workload-namespace': namespace, 'workload-node': node } = values;
      const filter = (workload: Workload) => ({
        address,
        node,
        namespace: workload?.namespace ?? namespace,
        name: workload?.name,
      });
      return shown(values, positionals, {
        table: (dump, workload) => workloadTable(dump, filter(workload)),
        items: (dump, workload) => workloadsOf(dump, filter(workload)),
      });
    }
    case 'service': {
      const { values, positionals } = readArguments('ztunnel-config service', args, options.service);
      const namespace = values['service-namespace'];
      return shown(values, positionals, {
        table: (dump) => serviceTable(dump, namespace),
        items: (dump) => servicesOf(dump, namespace),
      });
    }
    case 'policy': {
      const { values, positionals } = readArguments('ztunnel-config policy', args, options.policy);
      const namespace = values['policy-namespace'];
      return shown(values, positionals, {
        table: (dump) => policyTable(dump, namespace),
        items: (dump) => policiesOf(dump, namespace),
      });
    }
    case 'certificate': {
      const { values, positionals } = readArguments('ztunnel-config certificate', args, options.certificate);
      return shown(values, positionals, {
        table: (dump) => certificateTable(dump, Date.now()),
        items: (dump) => dump.certificates,
      });
    }
    case 'connections': {
      const { values, positionals } = readArguments('ztunnel-config connections', args, options.connections);
      const { direction: said, raw = false, 'workload-namespace': namespace } = values;
      const direction = said === undefined ? undefined : oneOf('--direction', said, 'inbound', 'outbound');
      const filter = (workload: Workload) => ({
        direction,
        raw,
        namespace: workload?.namespace ?? namespace,
        workload: workload?.name,
      });
      return shown(values, positionals, {
        table: (dump, workload) => connectionTable(dump, filter(workload)),
        items: (dump, workload) => statesOf(dump, filter(workload)),
      });
    }
    case 'all': {
      const { values, positionals } = readArguments('ztunnel-config all', args, options.all);
      return shown(values, positionals, {
        table: (dump) => everything(dump, values['with-headers'] === true),
        items: (dump) => dump.whole,
      });
    }
    default:
      return assertNever(subject);
  }
}

interface View {
  readonly table: (dump: ZtunnelDump, workload: Workload) => Table | string;
  readonly items: (dump: ZtunnelDump, workload: Workload) => unknown;
}

type Values = Parameters<typeof withCluster>[0] & {
  readonly file?: string | undefined;
  readonly node?: string | undefined;
  readonly output: string;
  readonly 'proxy-admin-port': string;
};

async function shown(values: Values, positionals: readonly string[], view: View): Promise<number> {
  const format = oneOf('--output', values.output, 'short', 'json', 'yaml');
  const { dump, workload } = await dumpOf(values, positionals);
  if (format !== 'short') await printAs(format, view.items(dump, workload));
  else {
    const table = view.table(dump, workload);
    print(typeof table === 'string' ? table : formatTable(table.header, table.rows));
  }
  return 0;
}

async function dumpOf(
  values: Values,
  [name, ...more]: readonly string[],
): Promise<{ readonly dump: ZtunnelDump; readonly workload: Workload }> {
  if (more.length > 0)
    throw new UsageError('aquifer ztunnel-config: at most one pod is expected; see aquifer ztunnel-config --help');
  const { file } = values;
  if (file !== undefined) {
    if (name !== undefined || values.node !== undefined)
      throw new UsageError('aquifer ztunnel-config: --file stands alone, without a pod or --node');
    return { dump: parseZtunnelDump(file, await readDump(file)), workload: undefined };
  }
  const port = portOf('--proxy-admin-port', values['proxy-admin-port']);
  return withCluster(values, process.env, async (cluster) => {
    const { ztunnel, workload } = await targetOf(cluster, name, values.node);
    const body = await askAdmin(cluster, ztunnel, port, '/config_dump');
    return { dump: parseZtunnelDump(`pod ${ztunnel.metadata.namespace}/${ztunnel.metadata.name}`, body), workload };
  });
}

function everything(dump: ZtunnelDump, withHeaders: boolean): string {
  const parts: readonly (readonly [title: string, table: Table])[] = [
    ['WORKLOAD INFO', workloadTable(dump, {})],
    ['SERVICE INFO', serviceTable(dump, undefined)],
    ['POLICY INFO', policyTable(dump, undefined)],
    ['SECRET INFO', certificateTable(dump, Date.now())],
    ['CONNECTIONS INFO', connectionTable(dump, { raw: false })],
  ];
  return parts
    .map(
      ([title, { header, rows }]) => `${withHeaders ? `------ ${title} ------\n\n` : ''}${formatTable(header, rows)}`,
    )
    .join('\n\n');
}
