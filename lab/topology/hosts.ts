/** The link between nodes: a bridge in a namespace of its own, and the hosts on it. Texts for ip(8), made without I/O. */
import {
  type Addresses,
  controlPlane,
  hostNetwork,
  nodeAddress,
  podGateway,
  podRange,
  serviceRange,
} from '../addresses.ts';
import { netnsName } from '../names.ts';

export const bridge = 'br0';

export interface HostPlan {
  readonly netns: string;
  readonly sysctls: Readonly<Record<string, string | number>>;
  /** Run inside the namespace, after its link to the bridge exists. */
  readonly batch: readonly string[];
}

/** What every namespace of a lab gets: addresses usable at once, as duplicate detection would take a second. */
const commonSysctls = {
  'net/ipv6/conf/default/accept_dad': 0,
  'net/ipv6/conf/all/accept_dad': 0,
  'net/ipv6/conf/default/disable_ipv6': 0,
  'net/ipv6/conf/all/disable_ipv6': 0,
  'net/ipv6/conf/default/accept_ra': 0,
} as const;

/** Interfaces keep what was the default when they were made, and the higher of all and their own value holds. */
const eth0Sysctls = { ...commonSysctls, 'net/ipv6/conf/eth0/accept_dad': 0 } as const;

/** Strict reverse path filters are inherited from some machines and drop what a node forwards for its pods. */
const routerSysctls = {
  ...eth0Sysctls,
  'net/ipv4/ip_forward': 1,
  'net/ipv4/conf/all/rp_filter': 0,
  'net/ipv4/conf/default/rp_filter': 0,
  'net/ipv6/conf/all/forwarding': 1,
} as const;

/** Creates the namespaces; outside of any. */
export function namespaceBatch(lab: string, nodes: number): string[] {
  return ['net', ...hostNames(nodes)].map((host) => `netns add ${netnsName(lab, host)}`);
}

/** The bridge with one port a host; the other ends appear in the hosts' namespaces as eth0. */
export function bridgePlan(lab: string, nodes: number): HostPlan {
  return {
    netns: netnsName(lab, 'net'),
    sysctls: commonSysctls,
    batch: [
      'link set lo up',
      // A bridge that learns by itself waits 15 s before it forwards on a new port; there are no loops here.
      `link add ${bridge} type bridge forward_delay 0 mcast_snooping 0`,
      `link set ${bridge} up`,
      ...hostNames(nodes).flatMap((host) => [
        `link add ${host} type veth peer name eth0 netns ${netnsName(lab, host)}`,
        `link set ${host} master ${bridge} up`,
      ]),
    ],
  };
}

export function hostPlans(lab: string, nodes: number): HostPlan[] {
  return hostNames(nodes).map((host, i) => hostPlan(lab, host, i, nodes));
}

/** Index 0 is the control-plane host. */
export function hostNames(nodes: number): string[] {
  return ['cp', ...nodeNames(nodes)];
}

/** `index` is 1 to 9. */
export function nodeName(index: number): string {
  return `node-${index}`;
}

export function nodeNames(nodes: number): string[] {
  return nodeIndexes(nodes).map(nodeName);
}

function hostPlan(lab: string, host: string, index: number, nodes: number): HostPlan {
  const own = index === 0 ? controlPlane : nodeAddress(index);
  const others = nodeIndexes(nodes).filter((k) => k !== index);
  return {
    netns: netnsName(lab, host),
    sysctls: routerSysctls,
    batch: [
      'link set lo up',
      ...addressLines(own),
      'link set eth0 up',
      ...others.flatMap((k) => [
        `route add ${podRange(k).v4} via ${nodeAddress(k).v4}`,
        `route add ${podRange(k).v6} via ${nodeAddress(k).v6}`,
      ]),
      // Gives a socket of this host a source address; nftables has rewritten the destination before it leaves.
      `route add ${serviceRange.v4} dev eth0 src ${own.v4}`,
      `route add ${serviceRange.v6} dev eth0 src ${own.v6}`,
    ],
  };
}

function addressLines(own: Addresses): string[] {
  return [`address add ${own.v4}/${hostNetwork.v4} dev eth0`, `address add ${own.v6}/${hostNetwork.v6} dev eth0 nodad`];
}

function nodeIndexes(nodes: number): number[] {
  return Array.from({ length: nodes }, (_, i) => i + 1);
}

export interface PodLink {
  readonly netns: string;
  readonly nodeNetns: string;
  /** The node's end of the veth, at most 15 characters. */
  readonly link: string;
  readonly node: Addresses;
  readonly pod: Addresses;
}

export interface PodLinkPlan {
  readonly nodeBatch: readonly string[];
  readonly pod: HostPlan;
}

/**
 * Point to point: all that a pod sends is routed by its node, so that the node's nftables see both directions of a
 * connection to a service. Replies of the node itself carry the node's address, not the gateway's.
 */
export function podLinkPlan(p: PodLink): PodLinkPlan {
  return {
    nodeBatch: [
      `link add ${p.link} type veth peer name eth0 netns ${p.netns}`,
      `address add ${podGateway.v4}/32 dev ${p.link}`,
      `address add ${podGateway.v6}/64 dev ${p.link} nodad`,
      `link set ${p.link} up`,
      `route add ${p.pod.v4}/32 dev ${p.link} src ${p.node.v4}`,
      `route add ${p.pod.v6}/128 dev ${p.link} src ${p.node.v6}`,
    ],
    pod: {
      netns: p.netns,
      // containerd lets containers of any user bind low ports too.
      sysctls: { ...eth0Sysctls, 'net/ipv4/ip_unprivileged_port_start': 0 },
      batch: [
        'link set lo up',
        `address add ${p.pod.v4}/32 dev eth0`,
        `address add ${p.pod.v6}/128 dev eth0 nodad`,
        'link set eth0 up',
        `route add default via ${podGateway.v4} dev eth0 onlink`,
        `route add default via ${podGateway.v6} dev eth0`,
      ],
    },
  };
}
