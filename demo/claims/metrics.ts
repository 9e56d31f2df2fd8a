/** Claim 7: what happened can be read from Istio's metrics. */
import { scrape } from '../../test/harness/scrape.ts';
import { ClaimFailed, type Report } from '../report.ts';
import type { Stage } from '../stage.ts';

const names = [
  'istio_tcp_connections_opened_total',
  'istio_tcp_connections_closed_total',
  'istio_tcp_sent_bytes_total',
  'istio_tcp_received_bytes_total',
] as const;

export async function showMetrics(stage: Stage, report: Report): Promise<void> {
  await report.claim('Each node counts it all, in the metrics that Istio has', async () => {
    const evidence: string[] = [];
    for (const [node, reporter] of [
      ['node-1', 'source'],
      ['node-2', 'destination'],
    ] as const) {
      const text = await scrape(stage.lab, node, 15_020);
      const labels = `{reporter="${reporter}", source_principal=".../sa/client", destination_principal=".../sa/web", connection_security_policy="mutual_tls"}`;
      evidence.push(`${node}: ${labels}`);
      for (const name of names) {
        const value = sum(text, name, [
          `reporter="${reporter}"`,
          'source_principal="spiffe://cluster.local/ns/shop/sa/client"',
          'destination_principal="spiffe://cluster.local/ns/shop/sa/web"',
          'connection_security_policy="mutual_tls"',
        ]);
        if (value === 0) throw new ClaimFailed(...evidence, `${node}: ${name} has no such connection`);
        evidence.push(`    ${name} ${value}`);
      }
    }
    return evidence;
  });
}

/** Sum of the samples that carry all of these labels. */
function sum(text: string, name: string, labels: readonly string[]): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && labels.every((l) => line.includes(l)))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
