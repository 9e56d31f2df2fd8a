/** `aquifer x authz check`: by what the enforcing proxy has, not by what was written. */
import type { Pod } from '../../common/kube/kinds/core.ts';
import { askAdmin, portOf } from '../access/admin.ts';
import { withCluster } from '../access/cluster.ts';
import { readDump } from '../access/files.ts';
import { findPod } from '../access/pods.ts';
import { noOperands, oneOperand, readArguments } from '../arguments.ts';
import { print } from '../print.ts';
import { parseEnvoyDump } from '../proxy-config/dump.ts';
import { formatTable } from '../table.ts';
import { parseZtunnelDump } from '../ztunnel-config/dump.ts';
import { targetOf } from '../ztunnel-config/target.ts';
import { options } from './options.ts';
import { type Policies, policiesOfEnvoy, policiesOfZtunnel, policyRows } from './policies.ts';

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('x authz check', args, options);
  const port = portOf('--proxy-admin-port', values['proxy-admin-port']);
  const { file } = values;
  if (file !== undefined) {
    noOperands('x authz check --file', positionals);
    const text = await readDump(file);
    const isEnvoy = /^\s*\{\s*"configs"/.test(text);
    shown(
      isEnvoy
        ? policiesOfEnvoy(parseEnvoyDump(file, text))
        : policiesOfZtunnel(parseZtunnelDump(file, text), undefined),
    );
    return 0;
  }
  const name = oneOperand('x authz check', 'one pod, or --file', positionals);
  return withCluster(values, process.env, async (cluster) => {
    const pod = await findPod(cluster, name, cluster.namespace);
    const title = `${pod.metadata.namespace}/${pod.metadata.name}`;
    if (isWaypoint(pod)) {
      print(`by waypoint ${title} itself, for requests to the services behind it:`);
      shown(policiesOfEnvoy(parseEnvoyDump(title, await askAdmin(cluster, pod, port, '/config_dump'))));
      return 0;
    }
    const exact = `${pod.metadata.name}.${pod.metadata.namespace}`;
    const { ztunnel, workload } = await targetOf(cluster, exact, undefined);
    print(`by ztunnel ${ztunnel.metadata.name} of node ${ztunnel.spec.nodeName}, for connections to ${title}:`);
    const dump = parseZtunnelDump(title, await askAdmin(cluster, ztunnel, port, '/config_dump'));
    shown(policiesOfZtunnel(dump, workload));
    return 0;
  });
}

function isWaypoint({ metadata }: Pod): boolean {
  return metadata.labels?.['gateway.networking.k8s.io/gateway-name'] !== undefined;
}

function shown(policies: Policies): void {
  print(formatTable(['ACTION', 'AuthorizationPolicy', 'RULES'], policyRows(policies)));
}
