import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import { silentLogger } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { FileSecrets, placeOf } from './file-secrets.ts';

const folder = mkdtempSync(join(tmpdir(), 'aq-secrets-'));
after(() => rmSync(folder, { recursive: true }));

describe('secrets that are files', () => {
  it("have Istio's names", () => {
    assert.deepEqual(placeOf('file-cert:/a/c.pem~/a/k.pem'), {
      kind: 'certificate',
      chain: '/a/c.pem',
      key: '/a/k.pem',
    });
    assert.deepEqual(placeOf('file-root:/a/r.pem'), { kind: 'roots', path: '/a/r.pem' });
    for (const other of ['default', 'file-cert:/a', 'file-cert:~', 'file-root:', 'kubernetes://x']) {
      assert.equal(placeOf(other), undefined, other);
    }
  });

  it('are told when they come, and when they change; what cannot be read leaves the last one', () => {
    const clock = new FakeClock();
    const told: string[] = [];
    const files = new FileSecrets({
      clock,
      log: silentLogger,
      changed: (name, secret) => told.push(`${name.slice(0, 9)} ${secret.kind === 'roots' ? secret.pem : secret.key}`),
    });
    const path = (name: string) => join(folder, name);
    const [pair, roots] = [`file-cert:${path('c')}~${path('k')}`, `file-root:${path('r')}`];
    files.want(pair);
    files.want('default');
    assert.deepEqual(told, []);
    for (const name of ['c', 'k', 'r']) writeFileSync(path(name), `${name}1`);
    files.want(roots);
    clock.advance(millis(5_000));
    writeFileSync(path('k'), 'k2');
    clock.advance(millis(5_000));
    rmSync(path('k'));
    clock.advance(millis(5_000));
    assert.deepEqual(told, ['file-root r1', 'file-cert k1', 'file-cert k2']);
    assert.equal(files.get(pair)?.kind, 'certificate');
    files.close();
  });
});
