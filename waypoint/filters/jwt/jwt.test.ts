/** Nobody without the issuer's private keys gets past the filter; what is compared with Envoy is in test/envoy/jwt.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checkFields } from '../../../common/envoy/fields.ts';
import { filterEnvironment } from '../../testing/filter-environment.ts';
import { forgeries, jwks, token, unacceptable } from '../../testing/tokens.ts';
import { view } from '../../testing/view.ts';
import type { FilterContext, Verdict } from '../filter.ts';
import { jwtFilter } from './filter.ts';
import { parseObject } from './json.ts';
import { parseKeys } from './keys.ts';
import { parseToken } from './token.ts';

const now = 1_800_000_000;
const claims = { iss: 'https://a.test', sub: 'alice', exp: now + 100, scope: 'read write' };

function filterOf(more: object = {}, requires: object = { provider_name: 'a' }) {
  const provider = {
    issuer: claims.iss,
    local_jwks: { inline_string: jwks() },
    payload_in_metadata: 'payload',
    ...more,
  };
  const made = checkFields({ providers: { a: provider }, rules: [{ match: { prefix: '/' }, requires }] }, 'Jwt', (f) =>
    jwtFilter.read(f, filterEnvironment()),
  );
  if (made.kind !== 'ok') throw new Error(made.reason);
  return made.value;
}

interface Told {
  readonly verdict: Verdict;
  readonly counts: readonly string[];
  readonly metadata: unknown;
}

function ask(filter: ReturnType<typeof filterOf>, text: string, at = now): Told {
  const counts: string[] = [];
  let metadata: unknown;
  const context = {
    perRoute: [],
    dice: { random: () => 0 },
    now: () => at * 1_000,
    count: (name: string) => counts.push(name),
    setMetadata: (_: string, values: unknown) => {
      metadata = values;
    },
    clearRoute: () => undefined,
  } as unknown as FilterContext;
  const verdict = filter.onRequest(view({ headers: { authorization: `Bearer ${text}` } }), context);
  return { verdict, counts, metadata };
}

describe('tokens of requests', () => {
  const filter = filterOf();

  it('of the issuer are taken, with lists made of words', () => {
    const lists = filterOf({ normalize_payload_in_metadata: { space_delimited_claims: ['scope'] } });
    const { verdict, metadata } = ask(lists, token(claims));
    assert.equal(verdict.kind, 'continue');
    assert.deepEqual(metadata, { payload: { ...claims, scope: ['read', 'write'] } });
  });

  for (const { name, token: text } of [...forgeries(claims), ...unacceptable(claims)]) {
    it(`forged are refused: ${name}`, () => {
      const { verdict } = ask(filter, text);
      assert.equal(verdict.kind === 'reply' && verdict.status, 401);
      // Nor a second time: nothing of it was kept.
      assert.equal(ask(filter, text).verdict.kind, 'reply');
    });
  }

  it('that were verified are known until they expire', () => {
    const own = filterOf();
    const text = token(claims);
    assert.ok(!ask(own, text).counts.includes('jwt_authn.jwt_cache_hit'));
    assert.ok(ask(own, text).counts.includes('jwt_authn.jwt_cache_hit'));
    assert.equal(ask(own, text, claims.exp + 60).verdict.kind, 'continue');
    assert.equal(ask(own, text, claims.exp + 61).verdict.kind, 'reply');
    assert.ok(!ask(own, text, claims.exp).counts.includes('jwt_authn.jwt_cache_hit'));
  });

  it('with one byte changed are refused', () => {
    const text = token(claims);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 33, max: 126 }), (at, code) => {
        const changed = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
        // The last character of a base64url text holds bits that mean nothing.
        if (
          Buffer.from(changed.split('.')[2] ?? '', 'base64url').equals(Buffer.from(text.split('.')[2]!, 'base64url')) &&
          changed.split('.').slice(0, 2).join() === text.split('.').slice(0, 2).join()
        )
          return;
        assert.equal(ask(filter, changed).verdict.kind, 'reply');
      }),
    );
  });

  it('of any text never throw', () => {
    fc.assert(fc.property(fc.string(), fc.string(), fc.string(), (a, b, c) => void parseToken(`${a}.${b}.${c}`)));
    fc.assert(
      fc.property(
        fc.json(),
        fc.json(),
        (a, b) =>
          void parseToken(`${Buffer.from(a).toString('base64url')}.${Buffer.from(b).toString('base64url')}.AAAA`),
      ),
    );
    fc.assert(fc.property(fc.json(), (text) => void parseKeys(`{"keys":[${text}]}`)));
  });
});

describe('JSON of strangers', () => {
  it('is what JSON.parse makes of it, where no name is there twice', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const text = JSON.stringify(value);
        assert.deepEqual(parseObject(Buffer.from(text)), JSON.parse(text));
      }),
    );
  });

  for (const text of [
    '{"a":1,"a":1}',
    '{"b":{"a":1,"\\u0061":2}}',
    '{"a" : 1, "b":[{"c":1,\n"c"  :2}]}',
    '[]',
    '1',
    '"a"',
    'null',
    '{',
    '{"a":1}x',
    '',
  ]) {
    it(`is refused: ${text}`, () => assert.equal(parseObject(Buffer.from(text)), undefined));
  }

  it('is refused where it is no UTF-8, or too deep', () => {
    assert.equal(parseObject(Buffer.from([...Buffer.from('{"a":"'), 0xff, ...Buffer.from('"}')])), undefined);
    assert.equal(parseObject(Buffer.from(`{"a":${'['.repeat(120)}${']'.repeat(120)}}`)), undefined);
  });
});

describe('keys', () => {
  it('of other uses and types are left out, and the private parts of a key are not looked at', () => {
    assert.equal(
      parseKeys('{"keys":[{"kty":"RSA","use":"enc"},{"kty":"x"},{"kty":"OKP","crv":"X25519","x":"AAAA"}]}')?.length,
      0,
    );
    assert.equal(parseKeys('{"keys":{}}'), undefined);
    assert.equal(parseKeys('[]'), undefined);
  });

  it('that are none are refused by name', () => {
    assert.throws(
      () => filterOf({ local_jwks: { inline_string: '{"keys":[]}' } }),
      /local_jwks\.inline_string: holds no key/,
    );
    assert.throws(() => filterOf({ local_jwks: undefined, remote_jwks: {} }), /remote_jwks: is not supported/);
  });
});
