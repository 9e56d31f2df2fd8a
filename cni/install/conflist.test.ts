import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Edit, withoutPlugin, withPlugin } from './conflist.ts';

const own = { type: 'ours', run: '/run' };
const typical = `{
  "cniVersion": "1.0.0",
  "name": "cbr0",
  "plugins": [
    { "type": "flannel", "delegate": {"hairpinMode": true, "text": "a \\"]}, {[ b"} },
    {
      "type": "portmap"
    }
  ]
}
`;

function changed(edit: Edit): string {
  assert.ok(edit.kind === 'changed', JSON.stringify(edit));
  return edit.text;
}

function unusable(edit: Edit): string {
  return edit.kind === 'unusable' ? edit.reason : assert.fail('it was taken');
}

describe('the list of plugins', () => {
  test('the plugin goes to the end, all else stays to the byte, and taking it out gives the file back', () => {
    const text = changed(withPlugin(typical, own));
    assert.deepEqual((JSON.parse(text) as { plugins: unknown[] }).plugins.at(-1), own);
    assert.equal(text.replace(`,${JSON.stringify(own)}`, ''), typical);
    assert.equal(withPlugin(text, own).kind, 'same');
    assert.equal(changed(withoutPlugin(text, 'ours')), typical);
    assert.equal(withoutPlugin(typical, 'ours').kind, 'same');
  });

  test('one with other settings is replaced, several become one, one that somebody put first goes behind', () => {
    const old = changed(withPlugin(typical, { ...own, run: '/old' }));
    assert.equal(changed(withPlugin(old, own)), changed(withPlugin(typical, own)));
    const twice = old.replace(']\n}', `,${JSON.stringify(own)}]\n}`);
    assert.equal(JSON.parse(twice).plugins.length, 4);
    assert.equal(JSON.parse(changed(withPlugin(twice, own))).plugins.length, 3);
    const first = `{"plugins":[${JSON.stringify(own)} , {"type":"bridge"}]}`;
    assert.equal(changed(withPlugin(first, own)), `{"plugins":[{"type":"bridge"},${JSON.stringify(own)}]}`);
  });

  test('a place before another plugin, which was added later, is kept', () => {
    const text = changed(withPlugin(typical, own)).replace(/\n {2}\]/, ',{"type":"later"}\n  ]');
    assert.equal(withPlugin(text, own).kind, 'same');
  });

  for (const [what, text, reason] of [
    ['no JSON', '{', /not JSON/],
    ['a single plugin', '{"type":"bridge"}', /no list/],
    ['plugins that are no array', '{"plugins":{}}', /no list/],
    ['an array', '[]', /no list/],
    ['two lists', '{"plugins":[{"type":"a"}],"plugins":[{"type":"b"}]}', /more than one/],
    ['an empty list', '{"plugins":[]}', /no other plugin/],
    ['ours alone', '{"plugins":[{"type":"ours"}]}', /no other plugin/],
  ] as const) {
    test(`${what} is left alone`, () => assert.match(unusable(withPlugin(text, own)), reason));
  }

  test('whatever a list holds, adding and removing are exact', () => {
    const plugin = fc.record({ type: fc.string() }).chain((t) => fc.jsonValue().map((more) => ({ more, ...t })));
    const list = fc.record({
      before: fc.jsonValue(),
      plugins: fc.array(plugin, { minLength: 1, maxLength: 4 }),
      after: fc.jsonValue(),
    });
    fc.assert(
      fc.property(list, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const added = changed(withPlugin(text, own));
        const wanted = JSON.parse(text) as { plugins: unknown[] };
        wanted.plugins.push(own);
        assert.deepEqual(JSON.parse(added), wanted);
        assert.equal(changed(withoutPlugin(added, 'ours')), text);
      }),
    );
  });
});
