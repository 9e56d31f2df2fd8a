/** A fault is only stood when nothing in plain text crosses the link between the nodes meanwhile. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { countBytes, readPackets } from '../../lab/pcap.ts';
import type { World } from '../e2e/world.ts';

/** Where more crosses the link than the machine could keep: all but HBONE, which other tests look into. */
export const besidesHbone = '(tcp or udp) and not tcp port 15008';

/** `body` sends the marker it is given; no packet between the nodes may hold it. */
export async function watched<T>(
  { lab }: World,
  body: (marker: string) => Promise<T>,
  filter = 'tcp or udp',
): Promise<T> {
  const marker = randomBytes(18).toString('base64url');
  const capture = await lab.capture(filter);
  const stopped = async () => {
    await capture.stop();
    const seen = await readFile(capture.file);
    await rm(capture.file);
    return seen;
  };
  let result: T;
  try {
    result = await body(marker);
  } catch (e) {
    // Whatever becomes of the capture: this is why the test fails.
    await stopped().catch(() => undefined);
    throw e;
  }
  const seen = await stopped();
  assert.ok(readPackets(seen).length > 0, 'the capture saw the link');
  assert.equal(countBytes(seen, Buffer.from(marker)), 0, 'the marker is on the link in plain text');
  return result;
}
