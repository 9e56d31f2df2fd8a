import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalQuantity } from './canonical-quantity.ts';

test('each quantity has one form', () => {
  const forms = [
    ['0.5', '500m'],
    ['1000m', '1'],
    ['1000', '1k'],
    ['1', '1'],
    ['0', '0'],
    ['-0.5', '-500m'],
    ['1024Mi', '1Gi'],
    ['1000Mi', '1000Mi'],
    ['1.5Gi', '1536Mi'],
    ['0.1Gi', '107374182400m'],
    ['100Ki', '100Ki'],
    ['0.5Ki', '512'],
    ['1e3', '1e3'],
    ['12E', '12E'],
    ['0.0000000001', '1n'],
    ['1.', '1'],
    ['.5', '500m'],
    ['nothing', 'nothing'],
    ['', ''],
  ] as const;
  for (const [given, wanted] of forms) assert.equal(canonicalQuantity(given), wanted, given);
});

test('the form of a form is itself', () => {
  fc.assert(
    fc.property(
      fc.tuple(fc.maxSafeNat(), fc.nat(999), fc.constantFrom('', 'm', 'k', 'M', 'Ki', 'Mi', 'Ti', 'e2', 'n')),
      ([whole, part, suffix]) => {
        const once = canonicalQuantity(`${whole}.${part}${suffix}`);
        assert.equal(canonicalQuantity(once), once);
      },
    ),
  );
});
