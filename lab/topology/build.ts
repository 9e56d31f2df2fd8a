/** Makes namespaces and links with ip(8), a batch a namespace. */
import { configureNetns, deleteNetns } from '../system/netns.ts';
import { run } from '../system/run.ts';
import { bridgePlan, type HostPlan, hostPlans, namespaceBatch, type PodLink, podLinkPlan } from './hosts.ts';

export async function buildHosts(lab: string, nodes: number): Promise<void> {
  await run(['ip', '-batch', '-'], `${namespaceBatch(lab, nodes).join('\n')}\n`);
  await configure(bridgePlan(lab, nodes));
  await Promise.all(hostPlans(lab, nodes).map(configure));
}

export async function buildPod(link: PodLink): Promise<void> {
  const plan = podLinkPlan(link);
  await run(['ip', 'netns', 'add', link.netns]);
  await run(['ip', '-n', link.nodeNetns, '-batch', '-'], `${plan.nodeBatch.join('\n')}\n`);
  await configure(plan.pod);
}

/** The veth goes with the namespace. */
export async function removePod(link: PodLink): Promise<void> {
  await deleteNetns([link.netns]);
}

function configure(plan: HostPlan): Promise<void> {
  return configureNetns(plan.netns, plan.sysctls, plan.batch);
}
