import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { connection } from '../testing/view.ts';
import { type CanonicalOptions, canonise, type RawRequest } from './canonical.ts';
import { Headers } from './headers.ts';
import { mergeSlashes, normalizePath } from './path.ts';

const options: CanonicalOptions = {
  normalizePath: true,
  mergeSlashes: true,
  escapedSlashes: 'keep',
  stripPort: 'any',
  stripTrailingDot: true,
};

const raw = (parts: Partial<RawRequest>): RawRequest => ({
  method: 'GET',
  scheme: 'http',
  authority: 'a.test',
  path: '/',
  headers: new Headers(),
  protocol: 'http1',
  connection,
  ...parts,
});

describe('paths', () => {
  // As Envoy 1.40 answered; test/envoy asks it again, and random ones too.
  for (const [path, normal] of [
    ['/a/../b', '/b'],
    ['/..', '/'],
    ['/a/.', '/a/'],
    ['/a/%2e%2E/b', '/b'],
    ['/a\\b', '/a/b'],
    ['/a/..;x=1/b', '/b'],
    ['/a/%2e%2e;/b', '/a/..;/b'],
    ['/a/..;\\b', '/'],
    ['/a//../b', '/a/b'],
    ['/a%zz%', '/a%zz%'],
    ['/%0%41', '/%250A'],
    ['/%%34%31', '/%2541'],
    ['/%%341', '/%2541'],
    ['/%%34z', '/%4z'],
    ['/%41%7e%2f', '/A~%2f'],
    ['/a"<{|}>`^', '/a%22%3C%7B%7C%7D%3E%60%5E'],
    ['/a%00b', undefined],
  ] as const) {
    it(`${path} is ${normal ?? 'refused'}`, () => assert.equal(normalizePath(path), normal));
  }

  it('has no way around: what is canonical stays as it is, without dot segments', () => {
    const pieces = fc.constantFrom(
      '/',
      '//',
      '.',
      '..',
      '\\',
      '%2e',
      '%2E',
      '%2f',
      '%5c',
      ';',
      'a',
      '%',
      '%4',
      '1',
      '%25',
      '{',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (all) => {
        const once = normalizePath(`/${all.join('')}`)!;
        assert.ok(once.startsWith('/'), once);
        assert.doesNotMatch(once, /(^|\/)\.{1,2}(\/|$)|\\/);
        const merged = mergeSlashes(once);
        assert.doesNotMatch(merged, /\/\/./);
      }),
    );
  });
});

describe('requests', () => {
  it('have one host', () => {
    for (const authority of ['a.test', 'a.test.', 'a.test:80', 'a.test.:8080']) {
      const made = canonise(raw({ authority }), options);
      assert.equal(made.kind === 'ok' && made.view.authority, 'a.test', authority);
    }
    const v6 = canonise(raw({ authority: '[::1]:80' }), options);
    assert.equal(v6.kind === 'ok' && v6.view.authority, '[::1]');
  });

  it('keep their query as it is', () => {
    const made = canonise(raw({ path: '/a/../b?c=/../d//e' }), options);
    assert.equal(made.kind === 'ok' && made.view.path, '/b?c=/../d//e');
  });

  for (const [what, parts, more, expected] of [
    ['no host', { authority: undefined }, {}, 'refused 400 missing_host_header'],
    ['a host that is none', { authority: 'a/b' }, {}, 'refused 400 invalid_authority'],
    ['no path', { path: undefined }, {}, 'refused 404 missing_path_rejected'],
    ['a path without slash', { path: 'a' }, {}, 'refused 404 absolute_path_rejected'],
    ['a fragment', { path: '/a#b' }, {}, 'refused 400 path_normalization_failed'],
    ['escaped slashes', { path: '/a%2Fb' }, { escapedSlashes: 'reject' }, 'refused 400 path_normalization_failed'],
    ['escaped slashes', { path: '/a%2Fb?q' }, { escapedSlashes: 'redirect' }, 'redirect 307 /a/b?q'],
    ['any of them', { path: '/a%2fb%5cc%5Cd' }, { escapedSlashes: 'redirect' }, 'redirect 307 /a/b/c/d'],
  ] as const) {
    it(`with ${what} are answered: ${expected}`, () => {
      const made = canonise(raw(parts as Partial<RawRequest>), { ...options, ...more });
      assert.notEqual(made.kind, 'ok');
      if (made.kind === 'refused') assert.equal(`refused ${made.status} ${made.reason}`, expected);
      if (made.kind === 'redirect') assert.equal(`redirect ${made.status} ${made.location}`, expected);
    });
  }
});
