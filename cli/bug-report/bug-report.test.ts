import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { leavesOut, parseLogFilter, takes } from './filter.ts';
import { redactObject, redactText } from './redact.ts';
import { tar } from './tar.ts';
import { spanOf, within } from './times.ts';

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString();
const token = `eyJ${'a'.repeat(20)}.${'b'.repeat(40)}.${'c'.repeat(43)}`;

test('keys and tokens leave no trace in any text', () => {
  const sec1 = '-----BEGIN EC PRIVATE KEY-----\nAAAABBBB\n-----END EC PRIVATE KEY-----\n';
  for (const pem of [key, rsa, sec1]) {
    const secret = pem.split('\n')[1]!;
    assert.doesNotMatch(redactText(`before\n${pem}after`), new RegExp(secret.replaceAll('+', '\\+')));
    assert.match(redactText(`before\n${pem}after`), /^before\n\[redacted: private key\]\nafter$/);
    const encoded = Buffer.from(pem).toString('base64');
    assert.equal(redactText(`{"tls.key":"${encoded}"}`), '{"tls.key":"[redacted: private key]"}', pem.slice(0, 30));
  }
  assert.equal(redactText(`{"t":"${token}"}`), '{"t":"[redacted: token]"}');
  assert.equal(redactText('Authorization: Bearer abc.def'), 'Authorization: Bearer [redacted]');
  const certificate = '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----';
  assert.equal(redactText(certificate), certificate);
  assert.equal(redactText(Buffer.from(certificate).toString('base64')), Buffer.from(certificate).toString('base64'));
});

test('Secrets keep their keys, settings their names', () => {
  const metadata = {
    name: 'a',
    uid: 'u',
    resourceVersion: '1',
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"p":"x"}}', other: 'y' },
  };
  const secret = redactObject({ apiVersion: 'v1', kind: 'Secret', metadata, data: { p: 'c2VjcmV0' } });
  assert.deepEqual([secret['data'], secret.metadata.annotations], [{ p: '[redacted, 8 characters]' }, { other: 'y' }]);
  const pod = redactObject({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: {
      containers: [
        {
          env: [
            { name: 'DB_PASSWORD', value: 'x' },
            { name: 'A', value: 'b' },
          ],
        },
      ],
    },
  } as KubeObject);
  assert.deepEqual(pod['spec'], {
    containers: [
      {
        env: [
          { name: 'DB_PASSWORD', value: '[redacted]' },
          { name: 'A', value: 'b' },
        ],
      },
    ],
  });
});

test('whose logs are kept', () => {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web-5d4f8c7b9-x2k4p', namespace: 'shop', uid: '', resourceVersion: '', labels: { v: 'canary' } },
    spec: { containers: [] },
  } as Pod;
  const is = (text: string) => takes(parseLogFilter('--include', text), pod, 'proxy');
  for (const text of ['', 'shop', 'bank,s*', 'shop/web', '//web-*', '///v=can*', '/////proxy', 'shop/w*/web*/v=*//p*'])
    assert.ok(is(text), text);
  for (const text of ['bank', 'sho', 'shop/we', '//web', '///v=can', '///x=*', '////a=b', '/////istio'])
    assert.ok(!is(text), text);
  assert.throws(() => parseLogFilter('--include', 'a/b/c/d'), /"d" is no NAME=VALUE/);
  assert.throws(() => parseLogFilter('--exclude', 'a/b/c/d=e/f=g/h/i'), /--exclude: .*expected NS/);
  const whole = ['shop,b*', 'x/y'].map((text) => parseLogFilter('--exclude', text));
  assert.deepEqual(
    ['shop', 'bank', 'x'].map((name) => leavesOut(whole, name)),
    [true, true, false],
  );
});

test('of which time logs are', () => {
  const now = Date.parse('2026-01-01T12:00:00Z');
  const at = (text: string) => Date.parse(`2026-01-01T${text}Z`);
  assert.deepEqual(spanOf({}, now), { from: undefined, to: undefined });
  assert.deepEqual(spanOf({ duration: '1h' }, now), { from: at('11:00:00'), to: undefined });
  const ended = spanOf({ duration: '1h', 'end-time': '2026-01-01T10:00:00Z' }, now);
  assert.deepEqual(ended, { from: at('09:00:00'), to: at('10:00:00') });
  const log = '2026-01-01T09:59:59.9Z a\n  of a\n2026-01-01T10:00:01Z b\n  of b\n';
  assert.equal(within(ended, log), '2026-01-01T09:59:59.9Z a\n  of a');
  assert.throws(() => spanOf({ duration: '1h', 'start-time': '2026-01-01T10:00:00Z' }, now), /do not go together/);
  assert.throws(() => spanOf({ 'end-time': 'noon' }, now), /--end-time: "noon": expected a time/);
});

test('the archive is one that tar reads', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aquifer-tar-'));
  try {
    const long = `logs/${'n'.repeat(60)}/${'p'.repeat(60)}/c.log`;
    writeFileSync(
      join(folder, 'a.tar'),
      tar(
        'report',
        [
          { path: 'x.txt', text: 'ä'.repeat(600) },
          { path: long, text: '' },
        ],
        1_700_000_000,
      ),
    );
    execFileSync('tar', ['-xf', 'a.tar'], { cwd: folder });
    assert.equal(readFileSync(join(folder, 'report/x.txt'), 'utf8'), 'ä'.repeat(600));
    assert.equal(readFileSync(join(folder, 'report', long), 'utf8'), '');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
