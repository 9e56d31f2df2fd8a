/** Claim 3: both ends of a connection know who the other is. */
import { findAccessLine } from '../access-log.ts';
import { ClaimFailed, type Report } from '../report.ts';
import type { Stage } from '../stage.ts';

const client = 'spiffe://cluster.local/ns/shop/sa/client';
const web = 'spiffe://cluster.local/ns/shop/sa/web';

export async function showIdentities(stage: Stage, report: Report): Promise<void> {
  await report.claim('Both ends prove who they are: SPIFFE identities, from certificates of the mesh', async () => {
    const evidence: string[] = [];
    for (const [node, direction] of [
      ['node-1', 'outbound'],
      ['node-2', 'inbound'],
    ] as const) {
      const line = await findAccessLine(
        stage.lab,
        node,
        (l) => l['direction'] === direction && l['src.identity'] === client && l['dst.identity'] === web,
      );
      if (line === undefined) {
        throw new ClaimFailed(`the access log of ${node} has no ${direction} line from ${client} to ${web}`);
      }
      evidence.push(
        `access log of ${node} (${direction}): src.identity="${line['src.identity']}" dst.identity="${line['dst.identity']}"`,
      );
    }
    return evidence;
  });
}
