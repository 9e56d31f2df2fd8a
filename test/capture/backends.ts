/** The compliance suite runs on each of these, and what only one of them can do stands here. */
import { it, type TestFn } from 'node:test';
import type { CaptureKind } from '../../cni/capture/choose.ts';
import type { Requirement } from '../harness/require.ts';

export const backends: readonly { readonly kind: CaptureKind; readonly requires: readonly Requirement[] }[] = [
  { kind: 'ebpf', requires: ['ebpf', 'program:ip', 'program:nsenter'] },
  { kind: 'nft', requires: ['root', 'addon', 'program:nft', 'program:ip', 'program:nsenter'] },
];

/** Rows of the suite that a backend leaves out, and what it does instead. */
const leftOut = {
  ebpf: {
    'virtual interfaces': 'eBPF sees sockets, not what passes through a pod; the agent warns of it',
  },
  nft: {
    'device-bound sockets':
      'a redirected packet comes by loopback, which a socket bound to eth0 does not hear: nothing goes',
    'the mark of the routing': 'a socket that sets it is routed to loopback: refused, not captured',
    'fail open': 'nftables cannot see whether the proxy listens; the agent refuses the setting',
    'sysctls of the marks': 'conntrack marks the replies to the proxy, also where the kernel does not',
    flows: 'conntrack knows its own',
    handshakes: 'conntrack has the original destination',
    'a listener of another namespace': 'nobody hands listeners over: the proxy listens on the well-known ports',
    'two proxies at once': 'their listeners share the ports, so new connections come to both',
    'unknown addresses': 'rules are for the namespace, whatever its addresses: they are captured too',
  },
} as const satisfies Record<CaptureKind, Readonly<Record<string, string>>>;

export type Row = { [K in CaptureKind]: keyof (typeof leftOut)[K] }[CaptureKind];

/** A test of a row, where the backend has it: what it never does is no test that could not run. */
export function rowsOf(kind: CaptureKind): (row: Row, name: string, body: TestFn) => void {
  const out: Readonly<Record<string, string>> = leftOut[kind];
  return (row, name, body) => {
    if (out[row] === undefined) void it(name, body);
  };
}
