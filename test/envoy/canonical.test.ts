/** Requests made canonical in Envoy and in ours, under each of HttpConnectionManager's options. */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { CanonicalOptions } from '../../waypoint/request/canonical.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { longOr } from '../harness/require.ts';
import { type Case, compare } from './compare.ts';
import type { Request } from './world.ts';

interface Options {
  readonly envoy: Readonly<Record<string, unknown>>;
  readonly ours: Partial<CanonicalOptions>;
}

const slashes = [
  ['KEEP_UNCHANGED', 'keep'],
  ['REJECT_REQUEST', 'reject'],
  ['UNESCAPE_AND_REDIRECT', 'redirect'],
  ['UNESCAPE_AND_FORWARD', 'forward'],
] as const;

const all: readonly Options[] = [false, true].flatMap((normalizePath) =>
  [false, true].flatMap((mergeSlashes) =>
    slashes.map(([action, escapedSlashes]) => ({
      envoy: { normalize_path: normalizePath, merge_slashes: mergeSlashes, path_with_escaped_slashes_action: action },
      ours: { normalizePath, mergeSlashes, escapedSlashes },
    })),
  ),
);

const hosts: readonly Options[] = [
  { envoy: { strip_any_host_port: true }, ours: { stripPort: 'any' } },
  { envoy: { strip_matching_host_port: true }, ours: { stripPort: 'matching' } },
  { envoy: { strip_trailing_host_dot: true }, ours: { stripTrailingDot: true } },
  {
    envoy: { strip_trailing_host_dot: true, strip_any_host_port: true },
    ours: { stripTrailingDot: true, stripPort: 'any' },
  },
];

const piece = fc.constantFrom(
  '/',
  '/',
  '//',
  '.',
  '..',
  '/.',
  '/..',
  ';',
  ';x',
  '%2e',
  '%2E',
  '%2f',
  '%2F',
  '%5c',
  '%5C',
  '\\',
  'a',
  'B',
  '%41',
  '%7e',
  '%',
  '%0',
  '%zz',
  '%00',
  '%C3%A9',
  '{',
  '|',
  '^',
  '`',
  '"',
  '<',
  '~',
  '-',
  '_',
  '*',
  '?',
  '=',
  '&',
  '?/../',
  '#',
  '%23',
  '%3F',
  '%25',
);
const path = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`);

const routes = {
  virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'c0' } }] }],
};

const ask = (parts: Partial<Request>): Request => ({
  method: 'GET',
  authority: 'a.test',
  path: '/',
  headers: [],
  ...parts,
});

describe('requests made canonical as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  it('takes paths for the same', async (t) => {
    const count = longOr(80, 1_000);
    const cases: readonly Case[] = all.map(({ envoy, ours }, i) => ({
      name: JSON.stringify(envoy),
      routes,
      envoy: { options: envoy },
      ours: { options: ours },
      requests: fc.sample(path, { seed: 11 + i, numRuns: count }).map((p) => ask({ path: p })),
    }));
    await compare(t, cases);
  });

  it('takes hosts for the same', async (t) => {
    const names = [
      'a.test',
      'A.test',
      'a.test.',
      'a.test.:80',
      'a.test:80',
      'a.test:',
      'a.test:x',
      '[::1]',
      '[::1]:80',
      '1.2.3.4:81',
      'a..',
      '.',
      'a_b',
      'a@b',
      'a b',
      'a/b',
      ':80',
    ];
    const cases: readonly Case[] = hosts.map(({ envoy, ours }) => ({
      name: JSON.stringify(envoy),
      routes,
      envoy: { options: envoy },
      ours: { options: ours },
      requests: names.map((authority) => ask({ authority })),
    }));
    await compare(t, cases);
  });
});
