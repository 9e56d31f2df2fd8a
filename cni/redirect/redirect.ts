/** `cni-agent redirect`: rules of this machine, or of the single pod in which it runs, for a ztunnel in dedicated mode. */
import { spawnSync } from 'node:child_process';
import { assertNever, MeshError } from '../../common/core/errors.ts';
import { closeFd, nft, openNetns } from '../../native/index.ts';
import { addCommands, removeCommands } from '../capture/nft/iptables.ts';
import { noTableText, tableText } from '../capture/nft/nft-text.ts';
import { redirectRules } from '../capture/nft/rules.ts';
import type { RedirectCommand } from './args.ts';

/** Not that of pods: a machine may be a node as well. */
const table = 'aquifer-redirect';
const prefix = 'aquifer';

/** What nft or a shell would do. */
export function redirectText({ kind, by, plan }: RedirectCommand): string {
  switch (by) {
    case 'nft':
      return kind === 'add' ? tableText(table, 'cni-agent redirect', redirectRules(plan)) : noTableText(table);
    case 'iptables':
      return kind === 'add' ? addCommands(prefix, redirectRules(plan)) : removeCommands(prefix);
    default:
      return assertNever(by);
  }
}

/** Changes the network namespace of this process; with nftables all at once. MeshError KERNEL. */
export function redirect(command: RedirectCommand): void {
  const text = redirectText(command);
  if (command.by === 'nft') {
    const own = openNetns('/proc/self/ns/net');
    try {
      nft(own, text);
    } finally {
      closeFd(own);
    }
    return;
  }
  const { status, stderr, error } = spawnSync('sh', ['-e'], { input: text, encoding: 'utf8' });
  if (status === 0) return;
  // Half of the rules would capture half of the traffic.
  spawnSync('sh', ['-e'], { input: removeCommands(prefix) });
  throw new MeshError('KERNEL', `iptables refused: ${error?.message ?? stderr.trim()}`);
}
