/** Claims 1 and 2: in the mesh every call is answered, and the link between the nodes carries TLS and no marker. */
import { readFile } from 'node:fs/promises';
import { countBytes, countTlsRecords, readTcp } from '../../lab/pcap.ts';
import { type Answer, allCalls, makeCalls } from '../calls.ts';
import { ClaimFailed, type Report } from '../report.ts';
import type { Stage } from '../stage.ts';

const hbonePort = 15_008;
/** The API server's, the kubelets' and istiod's ports: the only others that may be seen between the hosts. */
const controlPorts = [6443, 10_250, 15_010, 15_012];

export async function showEncrypted(stage: Stage, report: Report): Promise<void> {
  const capture = await stage.lab.capture('tcp');
  const answers = await makeCalls(stage, allCalls(stage));
  await capture.stop();
  const pcap = await readFile(capture.file);
  await report.claim(
    'Pods in the mesh reach each other: by Service VIP and pod to pod, across nodes and within one, IPv4 and IPv6',
    async () => answered(answers),
  );
  await report.claim('Between the nodes there is nothing but TLS: no marker can be read on the wire', async () =>
    onlyTls(pcap, answers),
  );
}

export function answered(answers: readonly Answer[]): readonly string[] {
  const failed = answers.filter((a) => a.failure !== '');
  if (failed.length > 0) {
    const good = `${answers.length - failed.length} of ${answers.length} calls were answered`;
    throw new ClaimFailed(good, ...failed.map((a) => `${a.call.title}: ${a.failure}`));
  }
  const web = answers.find((a) => a.call.crossesNodes && a.stdout.startsWith('client '));
  return [
    `${answers.length} calls of curl, redis-cli and iperf3, each with a random marker of 32 bytes; all were answered`,
    `nginx still sees the pod's own address: "${web?.stdout}"`,
  ];
}

function onlyTls(pcap: Uint8Array, answers: readonly Answer[]): readonly string[] {
  const crossing = answers.filter((a) => a.call.crossesNodes);
  const readable = crossing.filter((a) => countBytes(pcap, Buffer.from(a.call.marker)) > 0);
  if (readable.length > 0) {
    throw new ClaimFailed('markers were readable on the wire:', ...readable.map((a) => a.call.title));
  }
  const records = countTlsRecords(pcap, hbonePort);
  if (records < 2 * crossing.length) {
    throw new ClaimFailed(`only ${records} TLS records on port ${hbonePort} for ${crossing.length} calls`);
  }
  const allowed = new Set([hbonePort, ...controlPorts]);
  const others = readTcp(pcap).filter((s) => !allowed.has(s.source.port) && !allowed.has(s.destination.port));
  if (others.length > 0) {
    const { source, destination } = others[0]!;
    throw new ClaimFailed(`traffic beside HBONE: ${source.ip}:${source.port} -> ${destination.ip}:${destination.port}`);
  }
  return [
    `capture of the link: ${records} TLS records on port ${hbonePort}, 0 of ${crossing.length} markers, no other traffic of pods`,
  ];
}
