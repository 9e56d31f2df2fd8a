import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { UsageError } from './arguments.ts';
import { root } from './commands.ts';
import { takesValue } from './connection-options.ts';
import { findVerb, helpOf, type Verb } from './grammar.ts';

const find = (line: string) => findVerb(root, line.split(' '), takesValue);

test('verbs are found by name and alias, options anywhere', () => {
  assert.deepEqual(find('zc w -o json').path, ['ztunnel-config', 'workload']);
  const early = find('-n shop ztunnel-config --context=a svc --node x');
  assert.deepEqual(
    [early.path, early.args],
    [
      ['ztunnel-config', 'service'],
      ['-n', 'shop', '--context=a', '--node', 'x'],
    ],
  );
  assert.deepEqual(find('validate -f a.yaml b').args, ['-f', 'a.yaml', 'b']);
  assert.throws(
    () => find('zc w2'),
    (e) => e instanceof UsageError && /aquifer ztunnel-config w2: there is no such command/.test(e.message),
  );
});

/** Each verb with its path. */
function* all(verb: Verb, path: readonly string[] = []): Generator<readonly [readonly string[], Verb]> {
  if (path.length > 0) yield [path, verb];
  for (const [name, inner] of Object.entries(verb.verbs ?? {})) yield* all(inner, [...path, name]);
}

describe('the tree', () => {
  for (const [path, verb] of all(root)) {
    test(`${path.join(' ')} has code or verbs, a help, and options without clashes`, async () => {
      assert.ok(verb.load !== undefined || verb.verbs !== undefined);
      const shorts = Object.values(verb.options ?? {}).flatMap((o) => o.short ?? []);
      assert.equal(new Set(shorts).size, shorts.length, shorts.join(''));
      const loaded = await verb.load?.();
      assert.match(loaded?.help ?? helpOf({ path, verb }), new RegExp(`^aquifer ${path.join(' ')}: `));
    });
  }

  test('names and aliases of one level are all different', () => {
    for (const [, { verbs }] of [[[], root] as const, ...all(root)]) {
      const names = Object.entries(verbs ?? {}).flatMap(([name, { aliases = [] }]) => [name, ...aliases]);
      assert.deepEqual(names.toSorted(), [...new Set(names)].toSorted());
    }
  });
});

/** Files of ours and of packages that the run loads. */
function modulesOf(...args: readonly string[]): readonly string[] {
  const count = `import { registerHooks } from 'node:module';
    const seen = [];
    registerHooks({ load(url, context, next) { seen.push(url); return next(url, context); } });
    process.on('exit', () => process.stderr.write(seen.join('\\n')));`;
  const { stderr, status } = spawnSync(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(count)}`, join(import.meta.dirname, 'main.ts'), ...args],
    { encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  return stderr.split('\n').filter((url) => url.startsWith('file:'));
}

test('what must be quick loads little: versions, help', () => {
  for (const args of [
    ['version', '--client'],
    ['--help'],
    ['zc', '--help'],
    ['completion', 'bash'],
    ['__complete', 'zc', ''],
  ]) {
    const loaded = modulesOf(...args);
    assert.deepEqual(
      loaded.filter((url) => url.includes('/node_modules/')),
      [],
      args.join(' '),
    );
    assert.ok(loaded.length > 3 && loaded.length <= 60, `${args.join(' ')}: ${loaded.length} modules`);
  }
});
