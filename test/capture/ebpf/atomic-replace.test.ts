/** An upgrade of the agent replaces programs under load: no connection may slip through (ebpf-datapath 6). */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { programs } from '../../../cni/capture/ebpf/programs.ts';
import { loadBpf, netnsCookie } from '../../../native/index.ts';
import { skipUnless } from '../../harness/require.ts';
import { Bed, objectPath, tool } from '../bed.ts';

describe('atomic replace', { timeout: 120_000, skip: skipUnless('ebpf', 'program:ip', 'program:nsenter') }, () => {
  let bed: Bed;
  before(async () => {
    bed = await Bed.make();
  });
  after(() => bed.remove());

  it('captures every connection while 600 links are updated', async () => {
    const proxy = bed.enrol('p1', bed.capture());
    const stress = bed.start({ netns: 'p1' }, [tool('stress'), '2']);
    let out = '';
    stress.stdout!.on('data', (d) => (out += d));
    const closed = new Promise((resolve) => stress.on('close', resolve));

    const objects = [loadBpf(objectPath, bed.pinDir), loadBpf(objectPath, bed.pinDir)];
    const inbound = `link_inbound_${netnsCookie(bed.netns.p1)}`;
    const proxyPin = `_${statSync(join(bed.cgroup, 'ztunnel'), { bigint: true }).ino}`;
    let updates = 0;
    while (updates < 600) {
      const program = programs[updates % programs.length]!;
      const pin = program.at === 'pod' ? inbound : `link_${program.name}${program.at === 'ztunnel' ? proxyPin : ''}`;
      objects[Math.floor(updates / programs.length) % 2]!.replace(program.name, join(bed.pinDir, pin));
      updates++;
      // Two connections an update at least, so that the load never stands still.
      while (proxy.outbound.length < 2 * updates) await new Promise(setImmediate);
    }
    stress.stdin!.end();
    await closed;
    for (const object of objects) object.close();

    const result = JSON.parse(out) as { connections: number; failed: number; wrong: number };
    assert.ok(result.connections >= 1200);
    assert.deepEqual({ failed: result.failed, wrong: result.wrong }, { failed: 0, wrong: 0 });
    assert.equal(proxy.outbound.length, result.connections);
  });
});
