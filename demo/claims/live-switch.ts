/**
 * Claims 5 and 6: the namespace leaves the mesh and enters it again while two pods call every 50 ms, and no call is lost; what
 * could not be read on the wire inside the mesh can be read outside of it.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isIpv6 } from '../../common/core/net.ts';
import type { LabApi, LabProcess, PodRef } from '../../lab/index.ts';
import { countBytes } from '../../lab/pcap.ts';
import { type Answer, allCalls, makeCalls } from '../calls.ts';
import { ClaimFailed, type Report } from '../report.ts';
import { type Stage, setMesh } from '../stage.ts';
import { answered } from './encrypted.ts';

/** Enough for the switch out, a round of calls outside and the switch back; more are made if those take longer. */
const minimumCalls = 200;
const callsEach50ms = '20/s';
/** Upper bound of a stream's length; it is stopped long before. */
const longest = 2_000;

interface Played {
  /** HTTP status of each call of both pods. */
  readonly codes: readonly string[];
  readonly left: Moment;
  readonly entered: Moment;
  /** The round of calls made outside of the mesh, and what the link carried meanwhile. */
  readonly outside: readonly Answer[];
  readonly pcap: Uint8Array;
}

interface Moment {
  readonly at: Date;
  /** Calls that both streams had made by then. */
  readonly after: number;
}

export async function showLiveSwitch(stage: Stage, report: Report): Promise<void> {
  let played: Played | undefined;
  await report.claim(
    'The same calls outside of the mesh are answered too, and every marker can be read on the wire',
    async () => {
      played = await play(stage);
      return readable(played.pcap, played.outside);
    },
  );
  await report.claim('The namespace left and entered the mesh under traffic, and no call was lost', async () => {
    if (played === undefined) throw new ClaimFailed('the namespace could not be switched');
    return noneLost(played);
  });
}

async function play(stage: Stage): Promise<Played> {
  const { lab } = stage;
  const streams = await Promise.all([stage.client, stage.neighbour].map((pod) => startCalls(lab, pod, stage)));
  const made = () => streams.reduce((sum, s) => sum + s.codes.length, 0);
  const moment = (): Moment => ({ at: new Date(), after: made() });
  try {
    await reach(() => made() >= minimumCalls / 4);
    await setMesh(lab, null);
    await lab.waitEnrolled();
    await plainCallsWork(stage);
    const left = moment();
    const capture = await lab.capture('tcp');
    const outside = await makeCalls(stage, allCalls(stage));
    await capture.stop();
    await setMesh(lab, 'ambient');
    await lab.waitEnrolled();
    const entered = moment();
    const enough = Math.max(minimumCalls, made() + minimumCalls / 4);
    await reach(() => made() >= enough);
    return { codes: streams.flatMap((s) => s.codes), left, entered, outside, pcap: await readFile(capture.file) };
  } finally {
    await Promise.all(streams.map((s) => s.stop()));
  }
}

/** Istio's resources are told first, capture ends a grace later; until then the policy of `web` refuses callers without identity. */
async function plainCallsWork({ lab, client, web }: Stage): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const url = `http://${web.podIps.find((ip) => !isIpv6(ip))}:${web.podPort}/`;
    const { code, stderr } = await lab.exec(client, ['curl', '-sS', '--max-time', '1', '--output', '/dev/null', url]);
    if (code === 0) return;
    if (performance.now() > deadline)
      throw new ClaimFailed(`web does not answer outside of the mesh: ${stderr.trim()}`);
    await delay(50);
  }
}

function readable(pcap: Uint8Array, answers: readonly Answer[]): readonly string[] {
  answered(answers);
  const crossing = answers.filter((a) => a.call.crossesNodes);
  const hidden = crossing.filter((a) => countBytes(pcap, Buffer.from(a.call.marker)) === 0);
  if (hidden.length > 0) throw new ClaimFailed('not found on the wire:', ...hidden.map((a) => a.call.title));
  return [`capture of the link: all ${crossing.length} markers of the calls between the nodes, in plain text`];
}

function noneLost({ codes, left, entered }: Played): readonly string[] {
  const lost = codes.filter((code) => code !== '200');
  const moments = [
    `out of the mesh after ${left.after} calls, at ${time(left.at)}`,
    `in the mesh again after ${entered.after} calls, at ${time(entered.at)}`,
  ];
  if (lost.length > 0 || codes.length < minimumCalls) {
    throw new ClaimFailed(
      `${lost.length} of ${codes.length} calls were lost: ${[...new Set(lost)].join(', ')}`,
      ...moments,
    );
  }
  return [`${codes.length} calls from two pods, a new connection each 50 ms from each; 0 lost`, ...moments];
}

function time(at: Date): string {
  return at.toISOString().slice(11, 23);
}

interface Stream {
  /** HTTP status of each call, in order; `000` is a call that failed. */
  readonly codes: readonly string[];
  stop(): Promise<void>;
}

/** One curl that makes a new connection each 50 ms and reports each call on stderr, which it does not buffer. */
async function startCalls(lab: LabApi, pod: PodRef, { catalog }: Stage): Promise<Stream> {
  const vip = catalog.vips.find((ip) => !isIpv6(ip));
  const curl: LabProcess = await lab.spawn(pod, [
    'curl',
    ...['--no-progress-meter', '--rate', callsEach50ms, '--max-time', '5', '--output', '/dev/null'],
    ...['--header', 'Connection: close', '--write-out', '%{stderr}status=%{http_code}\\n'],
    `http://${vip}:${catalog.servicePort}/[1-${longest}]`,
  ]);
  const codes: string[] = [];
  let rest = '';
  curl.stderr.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const code = /^status=(\d+)$/.exec(line)?.[1];
      if (code !== undefined) codes.push(code);
    }
  });
  return {
    codes,
    async stop() {
      curl.kill();
      await curl.exited;
    },
  };
}

async function reach(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new ClaimFailed('the calling pods stopped calling');
    await delay(20);
  }
}
