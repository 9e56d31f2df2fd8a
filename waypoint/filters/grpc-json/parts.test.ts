import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ArrayElements, TooLong } from './elements.ts';
import { FrameReader, frame } from './frames.ts';
import { parseJson } from './json-text.ts';
import { Matcher } from './matcher.ts';
import { parseTemplate } from './template.ts';
import { unescapeUrl } from './unescape.ts';

const cuts = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 30 });

function* cut<T extends { slice(from: number, to?: number): T; readonly length: number }>(
  whole: T,
  lengths: readonly number[],
): Generator<T> {
  let at = 0;
  for (const length of lengths) {
    yield whole.slice(at, at + length);
    at += length;
  }
  if (at < whole.length) yield whole.slice(at);
}

describe('elements of a JSON array', () => {
  it('are found however their text is cut', () => {
    const elements = fc.array(fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 }), { maxLength: 5 });
    fc.assert(
      fc.property(elements, cuts, fc.constantFrom('', ' ', '\n\t'), (all, lengths, blank) => {
        const text = `${blank}[${all.map((one) => blank + JSON.stringify(one) + blank).join()}]${blank}`;
        const reader = new ArrayElements(100_000);
        const out = [...cut(text, lengths)].flatMap((part) => [...reader.push(part)]);
        assert.deepEqual(
          out,
          all.map((one) => JSON.stringify(one)),
        );
        assert.equal(reader.isComplete, true);
      }),
    );
  });

  it('are objects in one array, and no longer than may be kept', () => {
    for (const bad of ['{}', '[1]', '[{}{}]', '[,{}]', '[{},]', '[{}]x', 'x', '[[{}]]'])
      assert.throws(() => new ArrayElements(100).push(bad), /no JSON array/, bad);
    const reader = new ArrayElements(100);
    assert.throws(() => reader.push(`[{"a":"${'x'.repeat(100)}`), TooLong);
    assert.equal(new ArrayElements(10).push(`[${' '.repeat(1_000)}{}`).length, 1);
    assert.throws(() => new ArrayElements(10).push(`[{"a":"${'x'.repeat(10)}"}`), TooLong);
    const small = new ArrayElements(1_000_000);
    small.push('[{"a":"');
    // A copy of what is kept with each would take minutes.
    for (let i = 0; i < 900_000; i++) small.push('x');
    assert.equal(small.push('"}]')[0]?.length, 900_008);
  });
});

describe('frames', () => {
  it('are read however they are cut', () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    fc.assert(
      fc.property(payloads, cuts, (all, lengths) => {
        const reader = new FrameReader(40);
        const bytes = Buffer.concat(all.map(frame));
        const out = [...cut(bytes as Uint8Array, lengths)].flatMap((part) => {
          const messages = reader.push(Buffer.from(part));
          assert.ok(Array.isArray(messages));
          return messages as readonly Buffer[];
        });
        assert.deepEqual(
          out.map((one) => [...one]),
          all.map((one) => [...one]),
        );
        assert.equal(reader.isComplete, true);
      }),
    );
  });

  it('are refused where they are compressed or too long', () => {
    assert.equal(new FrameReader(10).push(Buffer.from([1, 0, 0, 0, 0])), 'compressed');
    assert.equal(new FrameReader(10).push(Buffer.from([0, 0, 0, 0, 11])), 'too-long');
    const reader = new FrameReader(10);
    reader.push(Buffer.from([0, 0, 0]));
    assert.equal(reader.isComplete, false);
  });
});

describe('path templates', () => {
  const names = fc.stringMatching(/^[a-z]{1,3}$/);
  const part = fc.oneof(names, fc.constant('*'));

  it('match what they were filled in with, and bind it', () => {
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 5 }),
        fc.array(names, { minLength: 5, maxLength: 5 }),
        (pattern, fill) => {
          const matcher = new Matcher<string>(false, 'reserved');
          const text = pattern.map((one, i) => (one === '*' ? `{v${i}}` : one)).join('/');
          matcher.add('GET', parseTemplate(`/${text}`)!, 'it');
          const found = matcher.find('GET', `/${pattern.map((one, i) => (one === '*' ? fill[i] : one)).join('/')}`);
          assert.deepEqual(
            found?.bindings,
            pattern.flatMap((one, i) => (one === '*' ? [{ path: [`v${i}`], value: fill[i] }] : [])),
          );
          assert.equal(matcher.find('GET', `/${pattern.map(() => '-').join('/')}/-`), undefined);
        },
      ),
    );
  });

  it('are read or refused, whatever they are', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^\/[a-z{}=*/.:]{0,20}$/), fc.webPath(), (text, path) => {
        const template = parseTemplate(text);
        if (!template) return;
        const matcher = new Matcher<string>(true, 'nothing');
        matcher.add('GET', template, 'it');
        matcher.find('GET', path);
      }),
    );
    for (const bad of ['a', '/{a', '/a}', '/{=a}', '/{a=}', '/**/*', '/**/**', '/{a=**}/{b}', '/{a}:', '/{1a}', '//'])
      assert.equal(parseTemplate(bad), undefined, bad);
  });

  it('prefer a literal to one segment and that to many; two alike hold neither', () => {
    const matcher = new Matcher<string>(false, 'reserved');
    for (const text of ['/a/b', '/a/*', '/a/**', '/x/**/y/z', '/two', '/**:verb'])
      matcher.add('GET', parseTemplate(text)!, text);
    matcher.add('GET', parseTemplate('/two')!, 'again');
    matcher.add('*', parseTemplate('/any')!, 'any');
    const found = (path: string, method = 'GET') => matcher.find(method, path)?.target;
    assert.equal(found('/a/b'), '/a/b');
    assert.equal(found('/a/c'), '/a/*');
    assert.equal(found('/a/b/c'), '/a/**');
    assert.equal(found('/a'), '/a/**');
    assert.equal(found('/x/1/2/y/z'), '/x/**/y/z');
    assert.equal(found('/two'), undefined);
    assert.equal(found('/q/r:verb'), '/**:verb');
    assert.equal(found('/any', 'PATCH'), 'any');
    assert.equal(found('/a/b', 'POST'), undefined);
  });
});

describe('escapes', () => {
  it('come off as they were put on', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        assert.equal(unescapeUrl(encodeURIComponent(text), 'nothing'), text);
      }),
    );
    assert.equal(unescapeUrl('%2f%23/%20%2523+', 'reserved'), '%2f%23/ %23+');
    assert.equal(unescapeUrl('%2f%23/%20%2523+', 'slash', true), '%2f#/ %23 ');
    assert.equal(unescapeUrl('%zz%4', 'nothing'), '%zz%4');
  });
});

describe('JSON', () => {
  it('has a bound to its depth, in strings none', () => {
    assert.throws(() => parseJson('['.repeat(101)), /deeper than 100/);
    assert.equal(parseJson(JSON.stringify('['.repeat(200))), '['.repeat(200));
    assert.deepEqual(parseJson(`["\\"${'['.repeat(200)}", []]`), [`"${'['.repeat(200)}`, []]);
    // Takes hours where each quote is looked on from.
    assert.throws(() => parseJson(`"${'\\"'.repeat(500_000)}`), SyntaxError);
  });
});
