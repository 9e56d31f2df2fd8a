/** A fault is only stood when nothing in plain text crosses the link between the nodes meanwhile. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { countBytes, readPackets } from '../../lab/pcap.ts';
import type { World } from '../e2e/world.ts';

/** `body` sends the marker it is given; no packet between the nodes may hold it. */
export async function watched<T>({ lab }: World, body: (marker: string) => Promise<T>): Promise<T> {
  const marker = randomBytes(18).toString('base64url');
  const capture = await lab.capture('tcp or udp');
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
    await stopped();
    throw e;
  }
  const seen = await stopped();
  assert.ok(readPackets(seen).length > 20, 'the capture saw the link');
  assert.equal(countBytes(seen, Buffer.from(marker)), 0, 'the marker is on the link in plain text');
  return result;
}
