/** Claim 4: an identity that the policy does not name is refused, and the log says by which rule. */
import { isIpv6 } from '../../common/core/net.ts';
import { findAccessLine } from '../access-log.ts';
import { ClaimFailed, type Report } from '../report.ts';
import type { Server, Stage } from '../stage.ts';

export async function showRefused(stage: Stage, report: Report): Promise<void> {
  await report.claim('A forbidden identity is refused, and told apart by identity, not by address', async () => {
    const refused = await curl(stage, stage.web);
    if (refused.code === 0) throw new ClaimFailed(`shop/stranger got an answer from web: ${refused.stdout.trim()}`);
    const line = await findAccessLine(
      stage.lab,
      'node-2',
      (l) => l['direction'] === 'inbound' && (l['src.identity'] ?? '').endsWith('/sa/stranger') && 'error' in l,
    );
    const reason = line?.['error'] ?? '';
    if (!reason.includes('shop/web-clients')) {
      throw new ClaimFailed(
        `the access log of node-2 does not name the policy shop/web-clients: ${reason || 'no line'}`,
      );
    }
    return [
      `stranger -> web: curl: ${refused.stderr.trim().split('\n').at(-1)}`,
      `access log of node-2: src.identity="${line?.['src.identity']}" error="${reason}"`,
    ];
  });
}

async function curl(stage: Stage, server: Server) {
  const vip = server.vips.find((ip) => !isIpv6(ip));
  const url = `http://${vip}:${server.servicePort}/`;
  return stage.lab.exec(stage.stranger, ['curl', '-sS', '--max-time', '5', url]);
}
