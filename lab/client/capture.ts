/** tcpdump in the namespace of the bridge: it sees what crosses from one host of the lab to another. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import { nodeAddress } from '../addresses.ts';
import type { Capture } from '../api.ts';
import type { LabPaths } from '../names.ts';
import { netnsName, netnsPath } from '../names.ts';
import { hostArgv } from '../pods/launch.ts';
import { makeCgroup } from '../system/cgroup.ts';
import { pause } from '../system/pause.ts';
import { run, systemPath } from '../system/run.ts';
import { launch } from './process.ts';

let count = 0;
/** discard (RFC 863): a packet to it is the last that a capture waits for. */
const markerPort = 9;

/** Each frame is seen once, where the bridge takes it in: on the ports of the hosts. */
export async function startCapture(lab: string, paths: LabPaths, labCgroup: string, filter: string): Promise<Capture> {
  await mkdir(paths.captures, { recursive: true });
  const file = join(paths.captures, `${process.pid}-${++count}.pcap`);
  const cgroup = makeCgroup(join(labCgroup, 'tools'));
  // Debian's tcpdump would give up root before it opens the file. A packet of ours shall pass every filter.
  const tcpdump = ['tcpdump', '-i', 'any', '--direction=in', '-n', '-s', '0', '-Z', 'root', '-w', file];
  const quick = ['--immediate-mode', '--packet-buffered', '--buffer-size=16384'];
  const filters = filter === '' ? [] : [`(${filter}) or (udp port ${markerPort})`];
  const argv = hostArgv(netnsPath(netnsName(lab, 'net')), cgroup, [...tcpdump, ...quick, ...filters]);
  const child = await launch(argv, { PATH: systemPath });
  child.stdin.end();
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  while (!said.includes('listening on')) {
    const ended = await Promise.race([once(child.stderr, 'data').then(() => undefined), child.exited]);
    if (ended !== undefined) throw new MeshError('CONFIG', `tcpdump ended with code ${ended}: ${said.trim()}`);
  }
  return {
    file,
    async stop() {
      const marker = randomUUID();
      const before = (await stat(file)).size;
      const send = ['bash', '-c', `echo ${marker} > /dev/udp/${nodeAddress(1).v4}/${markerPort}`];
      const deadline = AbortSignal.timeout(30_000);
      const seen = async () => (await bytesFrom(file, before)).includes(marker);
      while (!deadline.aborted && !(await seen())) {
        // Again, for a datagram may be lost.
        await run(hostArgv(netnsPath(netnsName(lab, 'cp')), cgroup, send));
        for (let i = 0; i < 50 && !(await seen()); i++) await pause(10);
      }
      child.kill('SIGINT');
      const code = await child.exited;
      if (deadline.aborted) {
        const end = `tcpdump (exit code ${code}) said: ${said.trim()}`;
        throw new MeshError('KERNEL', `the end of the capture is not in ${file}: ${end}`);
      }
    },
  };
}

/** Captures can be larger than what one would read again and again. */
async function bytesFrom(path: string, position: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc((await file.stat()).size - position);
    await file.read(bytes, 0, bytes.length, position);
    return bytes;
  } finally {
    await file.close();
  }
}
