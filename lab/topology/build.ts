/** Makes namespaces and links with ip(8), a batch a namespace. */
import { configureNetns } from '../system/netns.ts';
import { run, tryRun } from '../system/run.ts';
import { bridgePlan, type HostPlan, hostPlans, namespaceBatch, type PodLink, podLinkPlan } from './hosts.ts';

export async function buildHosts(lab: string, nodes: number): Promise<void> {
  await run(['ip', '-batch', '-'], `${namespaceBatch(lab, nodes).join('\n')}\n`);
  await configure(bridgePlan(lab, nodes));
  await Promise.all(hostPlans(lab, nodes).map(configure));
}

/** Inside the pod's namespace, which exists. */
export async function linkPod(link: PodLink): Promise<void> {
  const plan = podLinkPlan(link);
  await run(['ip', '-n', link.nodeNetns, '-batch', '-'], `${plan.nodeBatch.join('\n')}\n`);
  await configure(plan.pod);
}

/** At once, where the end of the namespace would take a while; does nothing when there is no link. */
export async function unlinkPod(link: PodLink): Promise<void> {
  await tryRun(['ip', '-n', link.nodeNetns, 'link', 'del', link.link]);
}

function configure(plan: HostPlan): Promise<void> {
  return configureNetns(plan.netns, plan.sysctls, plan.batch);
}
