import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, type LogFormat, LogLevels } from './log.ts';

test('targets have levels of their own; names of the crate before them are taken, and other crates change nothing', () => {
  const levels = new LogLevels('warn,ztunnel::access=debug,ztunnel::proxy::outbound=trace,h2=off');
  assert.equal(levels.enabled('access', 'debug'), true);
  assert.equal(levels.enabled('outbound', 'trace'), true);
  assert.equal(levels.enabled('dns', 'info'), false);
  assert.equal(levels.enabled('dns', 'warn'), true);
  assert.equal(new LogLevels('error,ztunnel=debug').enabled('dns', 'debug'), true);
});

test('a target has the level of the one around it', () => {
  const levels = new LogLevels('warn,istiod::ca=debug');
  assert.ok(levels.enabled('istiod::ca::audit', 'debug') && !levels.enabled('istiod::xds', 'info'));
  levels.apply('istiod=info,istiod::ca::audit=off');
  assert.ok(levels.enabled('istiod::xds', 'info') && levels.enabled('istiod::ca', 'debug'));
  assert.ok(!levels.enabled('istiod::ca::audit', 'error'));
});

test('levels change while the program runs, and go back to the first ones', () => {
  const levels = new LogLevels('info,dns=off');
  levels.apply('debug,access=error');
  assert.equal(levels.toString(), 'debug,dns=off,access=error');
  levels.reset();
  assert.equal(levels.toString(), 'info,dns=off');
  assert.throws(() => levels.apply('dns=loud'), /"loud" does not exist/);
});

test('a line is text with tabs, or JSON where that is asked for', () => {
  const line = (format: LogFormat) => {
    const lines: string[] = [];
    const sink = { levels: new LogLevels('info'), format, write: (l: string) => void lines.push(l) };
    createLogger(sink, 'access').info('done', { 'src.addr': '10.0.0.1:1', error: 'a\nb', bytes: 3, none: undefined });
    return lines[0]!;
  };
  assert.match(line('plain'), /^\d{4}-\S+Z\tinfo\taccess\tdone src\.addr="10\.0\.0\.1:1" error="a\\nb" bytes=3$/);
  const { time, ...rest } = JSON.parse(line('json'));
  assert.match(time, /Z$/);
  const fields = { 'src.addr': '10.0.0.1:1', error: 'a\nb', bytes: 3 };
  assert.deepEqual(rest, { level: 'info', scope: 'access', message: 'done', ...fields });
});
