/** Packets that a node of a lab forwards for its pods, dropped by nftables: the kernel here has no netem. */
import assert from 'node:assert/strict';
import type { HostName, LabApi } from '../../lab/index.ts';

const table = 'inet aq_fault';

/** Of 100 packets this many are lost, at random; 100: the node's pods are cut off from other nodes. */
export async function lose(lab: LabApi, node: HostName, percent: number): Promise<void> {
  await restore(lab, node);
  const what = percent === 100 ? 'counter drop' : `numgen random mod 100 < ${percent} counter drop`;
  const chain = ['type filter hook forward priority 0', what].join('\n');
  await nft(lab, node, `table ${table} {\nchain lost {\n${chain}\n}\n}`);
}

/** How many have been lost since `lose`. */
export async function lost(lab: LabApi, node: HostName): Promise<number> {
  const { stdout } = await lab.execOn(node, ['nft', 'list', 'table', ...table.split(' ')]);
  return Number(/counter packets (\d+)/.exec(stdout)?.[1]);
}

export function restore(lab: LabApi, node: HostName): Promise<void> {
  return nft(lab, node, `table ${table} {}\ndelete table ${table}`);
}

/** Rules in the namespace of a host. */
export async function nft(lab: LabApi, host: HostName, rules: string): Promise<void> {
  const { code, stderr } = await lab.execOn(host, ['nft', '-f', '-'], { stdin: `${rules}\n` });
  assert.equal(code, 0, stderr);
}
