/** Which program of bpf/capture.bpf.c goes where, and what a kernel lacks that refuses it (ebpf-datapath 7). */
export type AttachPoint = 'node' | 'ztunnel' | 'prober' | 'pod';

export interface Program {
  readonly name: string;
  readonly at: AttachPoint;
  readonly purpose: string;
  /** First Linux release with all that it uses. */
  readonly since: string;
}

export const programs: readonly Program[] = [
  { name: 'connect4', at: 'node', purpose: 'capture of outbound IPv4', since: '5.8' },
  { name: 'connect6', at: 'node', purpose: 'capture of outbound IPv6', since: '5.8' },
  { name: 'sendmsg4', at: 'node', purpose: 'capture of DNS by unconnected IPv4 sockets', since: '5.9' },
  { name: 'sendmsg6', at: 'node', purpose: 'capture of DNS by unconnected IPv6 sockets', since: '5.9' },
  { name: 'recvmsg4', at: 'node', purpose: 'DNS replies from the IPv4 server that was asked', since: '5.2' },
  { name: 'recvmsg6', at: 'node', purpose: 'DNS replies from the IPv6 server that was asked', since: '5.2' },
  { name: 'getpeername4', at: 'node', purpose: 'the original IPv4 peer in getpeername', since: '5.8' },
  { name: 'getpeername6', at: 'node', purpose: 'the original IPv6 peer in getpeername', since: '5.8' },
  { name: 'sockops_carry', at: 'node', purpose: 'the original destination of a captured connection', since: '5.15' },
  { name: 'sockops_ztunnel', at: 'ztunnel', purpose: "the node proxy's way to the apps", since: '5.15' },
  { name: 'getsockopt_original', at: 'ztunnel', purpose: 'SO_ORIGINAL_DST without conntrack', since: '5.3' },
  { name: 'sockops_probe', at: 'prober', purpose: "the kubelet's way to the apps", since: '5.15' },
  { name: 'inbound', at: 'pod', purpose: 'capture of inbound connections', since: '5.9' },
];

export const inboundProgram = 'inbound';
