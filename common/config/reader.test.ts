import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsReader, splitList } from './reader.ts';

function mistakes(r: SettingsReader): readonly string[] {
  const result = r.finish({});
  return result.kind === 'invalid' ? result.errors : [];
}

test('what is set is read', () => {
  const r = new SettingsReader({
    TEXT: 'a b',
    CHOICE: 'Blue',
    YES: 'TRUE',
    NO: 'false',
    COUNT: '64',
    TTL: '24h',
    IP: '::ffff:10.0.0.1',
    '--port': '0',
    '--listen': '[::1]:80',
    PATH_: '/x',
  });
  assert.equal(r.text('TEXT'), 'a b');
  assert.equal(r.required('TEXT', 'a text'), 'a b');
  assert.equal(r.choice('CHOICE', ['red', 'blue']), 'blue');
  assert.deepEqual([r.boolean('YES'), r.boolean('NO')], [true, false]);
  assert.equal(r.integer('COUNT', 64, 64), 64);
  assert.equal(r.duration('TTL', 86_400_000), 86_400_000);
  assert.equal(r.ip('IP'), '10.0.0.1');
  assert.equal(r.port('--port'), 0);
  assert.deepEqual(r.listenAddress('--listen'), { ip: '::1', port: 80 });
  assert.equal(r.absolutePath('PATH_'), '/x');
  assert.deepEqual(mistakes(r), []);
});

test('what is absent or an empty variable is undefined, so that a default serves', () => {
  for (const settings of [{}, { X: '' }]) {
    const r = new SettingsReader(settings);
    const read = [r.text('X'), r.choice('X', ['a']), r.boolean('X'), r.integer('X', 0, 1), r.duration('X'), r.ip('X')];
    assert.deepEqual(read, Array(6).fill(undefined));
    assert.deepEqual([r.port('X'), r.listenAddress('X'), r.absolutePath('X')], Array(3).fill(undefined));
    assert.deepEqual(mistakes(r), []);
  }
});

test('all mistakes are told at once: name, value and what is allowed', () => {
  const r = new SettingsReader({
    CHOICE: 'green',
    BOOLEAN: 'maybe',
    LOW: '0',
    HIGH: '65',
    WORD: '1e1',
    TTL: '1 week',
    SHORT: '9ms',
    IP: 'localhost',
    '--port': '65536',
    '--listen': '',
    RELATIVE: 'a/b',
    RUST_LOG: 'loud',
    LOG_FORMAT: 'xml',
  });
  const read = [
    r.choice('CHOICE', ['red', 'blue']),
    r.boolean('BOOLEAN'),
    r.integer('LOW', 1, 64),
    r.integer('HIGH', 1, 64),
    r.integer('WORD', 1, 64),
    r.duration('TTL'),
    r.duration('SHORT', 10),
    r.ip('IP'),
    r.port('--port'),
    r.listenAddress('--listen'),
    r.absolutePath('RELATIVE'),
  ];
  assert.deepEqual(read, Array(read.length).fill(undefined));
  assert.equal(r.required('MISSING', 'the missing thing'), '');
  r.mistake('and another');
  assert.deepEqual(mistakes(r), [
    'CHOICE=green: expected one of red, blue',
    'BOOLEAN=maybe: expected one of true, false',
    'LOW=0: expected a whole number from 1 to 64',
    'HIGH=65: expected a whole number from 1 to 64',
    'WORD=1e1: expected a whole number from 1 to 64',
    'TTL="1 week": expected a duration such as 500ms, 30s, 90m or 24h',
    'SHORT=9ms: expected a duration such as 500ms, 30s, 90m or 24h, at least 10ms',
    'IP=localhost: expected an IP address',
    '--port=65536: expected a port from 0 to 65535',
    '--listen="": expected ADDRESS:PORT or :PORT',
    'RELATIVE=a/b: expected an absolute path',
    'MISSING is not set: the missing thing',
    'and another',
    'RUST_LOG=loud: expected off, error, warn, info, debug or trace, for some targets another one: info,access=debug',
    'LOG_FORMAT=xml: expected one of plain, json',
  ]);
});

test('a value cannot forge a line', () => {
  const r = new SettingsReader({ COUNT: '1\nztunnel: ready' });
  r.integer('COUNT', 0, 9);
  assert.match(mistakes(r).join(), /^COUNT="1\\nztunnel: ready": /);
});

test('a flag wins over the variable', () => {
  const name = (settings: Record<string, string>) => new SettingsReader(settings).first('--path', 'PATH_');
  assert.equal(name({ '--path': 'a', PATH_: 'b' }), '--path');
  assert.equal(name({ PATH_: 'b' }), 'PATH_');
  assert.equal(name({}), 'PATH_');
});

test('the log is set up too', () => {
  const result = new SettingsReader({ RUST_LOG: 'warn,access=off', LOG_FORMAT: 'json' }).finish(1);
  assert.ok(result.kind === 'ok');
  assert.deepEqual([String(result.sink.levels), result.sink.format, result.config], ['warn,access=off', 'json', 1]);
});

test('lists', () => {
  assert.deepEqual(splitList(' a, b,,c '), ['a', 'b', 'c']);
  assert.deepEqual(splitList(''), []);
});
