/** Values that sigs.k8s.io/yaml 1.6.0 (Go) gave for the same texts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDocument } from 'yaml';
import { goYaml } from './go-yaml.ts';

const values: Readonly<Record<string, unknown>> = {
  '0644': 420,
  '-0644': -420,
  '+017': 15,
  '00': 0,
  '0': 0,
  '0689': 689,
  '0o17': 15,
  '0x1F': 31,
  '-0x1f': -31,
  '0b101': 5,
  '1_000': 1000,
  '0_7': 7,
  '0_9': 9,
  '1_0.5_0': 10.5,
  '1e3': 1000,
  '.5': 0.5,
  '1.': 1,
  yes: true,
  On: true,
  y: true,
  NO: false,
  off: false,
  n: false,
  yEs: 'yEs',
  yesterday: 'yesterday',
  True: true,
  '~': null,
  '2001-01-01': '2001-01-01',
  '12:30': '12:30',
  '"0644"': '0644',
  "'yes'": 'yes',
  '0xZZ': '0xZZ',
  '1_a': '1_a',
  _1: '_1',
  '!!str 0644': '0644',
  '!!str yes': 'yes',
};

test('plain scalars are what kubectl takes them for', () => {
  for (const [text, value] of Object.entries(values)) {
    const document = parseDocument(`a: ${text}\n`, goYaml);
    assert.deepEqual([document.errors, document.toJS()], [[], { a: value }], text);
  }
});
