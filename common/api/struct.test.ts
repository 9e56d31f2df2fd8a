import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificateRequestMessage } from './messages.ts';
import { stringField, structFromJson } from './struct.ts';

test('a struct holds any JSON and gives back its strings', () => {
  const metadata = structFromJson({
    s: 'text',
    empty: '',
    n: 1.5,
    b: true,
    nil: null,
    list: [1, 'x'],
    o: { deep: 'y' },
  });
  const bytes = certificateRequestMessage.encode({ csr: 'pem', validityDuration: 86_400, metadata });
  const request = certificateRequestMessage.decode(bytes);
  assert.equal(request.csr, 'pem');
  assert.equal(Number(request.validityDuration), 86_400);
  const { fields } = request.metadata!;
  assert.equal(stringField(request.metadata, 's'), 'text');
  assert.equal(stringField(request.metadata, 'empty'), '');
  assert.equal(fields['n']?.numberValue, 1.5);
  assert.equal(fields['b']?.boolValue, true);
  assert.equal(fields['nil']?.kind, 'nullValue');
  assert.equal(fields['list']?.listValue?.values[1]?.stringValue, 'x');
  assert.equal(fields['o']?.structValue?.fields['deep']?.stringValue, 'y');
  for (const name of ['n', 'nil', 'missing', 'constructor', '__proto__']) {
    assert.equal(stringField(request.metadata, name), undefined, name);
  }
  assert.equal(stringField(null, 's'), undefined);
});
