/** Keeps the dependency arrows, the absence of cycles, and what ARCHITECTURE.md claims about files and packages. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { importsOf, repository, type SourceFile, sourceFiles } from './architecture/imports.ts';
import { arrows, environmentReaders, production, unreachable } from './architecture/rules.ts';

const files = sourceFiles();
const byPath = new Map(files.map((f) => [f.path, f]));
const isTest = (path: string) => path.endsWith('.test.ts') || path.split('/').includes('testing');
const folderOf = (path: string) => path.split('/')[0]!;
const productionFiles = files.filter((f) => production.includes(folderOf(f.path)) && !isTest(f.path));

describe('dependency arrows', () => {
  for (const [folder, { may, reason }] of Object.entries(arrows)) {
    it(`${folder} imports only ${[...may, 'itself'].join(', ')}: ${reason}`, () => {
      assert.ok(existsSync(join(repository, folder)), `${folder} is gone: mend test/architecture/rules.ts`);
      const wrong = productionFiles
        .filter((f) => folderOf(f.path) === folder)
        .flatMap((f) => f.imports.filter((i) => i.kind === 'file').map((i) => ({ from: f.path, to: i.target })))
        .filter(({ to }) => folderOf(to) !== folder && !may.includes(folderOf(to)));
      assert.deepEqual(wrong, []);
    });
  }

  for (const { from, target, reason } of unreachable) {
    it(`${from} never reaches ${target}: ${reason}`, () => {
      for (const path of [from, target]) {
        assert.ok(existsSync(join(repository, path)), `${path} is gone: mend test/architecture/rules.ts`);
      }
      const chains = productionFiles
        .filter((f) => f.path.startsWith(`${from}/`))
        .map((f) => pathTo(f, (path) => path === target || path.startsWith(`${target}/`)))
        .filter((chain) => chain !== undefined);
      assert.deepEqual(chains, []);
    });
  }

  it('no production file imports test code', () => {
    const wrong = productionFiles.flatMap((f) =>
      f.imports
        .filter(
          (i) => i.kind === 'file' && (isTest(i.target) || ['test', 'demo', 'bench'].includes(folderOf(i.target))),
        )
        .map((i) => `${f.path} -> ${i.target}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('only native/ names the addon', () => {
    const wrong = productionFiles.filter((f) => folderOf(f.path) !== 'native' && /\.node['"`]/.test(f.text));
    assert.deepEqual(
      wrong.map((f) => f.path),
      [],
    );
  });

  it('only common/core/node-http.ts loads node:http', () => {
    const value = /^import (?!type )[^;]* from 'node:http'/m;
    // Workloads of a lab stand on their own, as anybody's programs.
    const wrong = productionFiles.filter((f) => !f.path.startsWith('lab/workloads/') && value.test(f.text));
    assert.deepEqual(
      wrong.map((f) => f.path),
      [],
    );
  });

  it('only configuration files read the environment', () => {
    const wrong = productionFiles.filter((f) => !environmentReaders.test(f.path) && /\bprocess\.env\b/.test(f.text));
    assert.deepEqual(
      wrong.map((f) => f.path),
      [],
    );
  });

  it('every import finds its file', () => {
    const wrong = files.flatMap((f) =>
      f.imports
        .filter((i) => i.kind === 'file' && !existsSync(join(repository, i.target)))
        .map((i) => `${f.path} -> ${i.target}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('there are no cycles', () => {
    assert.deepEqual(findCycles(), []);
  });

  it('import statements of every form are seen', () => {
    const text = [
      "import type { A } from './a.ts';",
      "import {\n  b,\n  c,\n} from './b.ts';",
      "import './c.ts';",
      "export { d } from '../d.ts';",
      `const e = await import${'('}'./e.ts');`,
      "// import './not.ts';",
      "import grpc from '@grpc/grpc-js/build/x.js';",
    ].join('\n');
    assert.deepEqual(
      importsOf('x/y.ts', text).map((i) => `${i.kind} ${i.target}${i.typeOnly ? ' type' : ''}`),
      ['file x/a.ts type', 'file x/b.ts', 'file d.ts', 'package @grpc/grpc-js', 'file x/c.ts', 'file x/e.ts'],
    );
  });
});

describe('ARCHITECTURE.md', () => {
  const text = readFileSync(join(repository, 'ARCHITECTURE.md'), 'utf8');

  it('names only paths that exist', () => {
    const top = new Set(globSync('*', { cwd: repository }));
    const named = [...text.matchAll(/`([\w.@*/-]+)`/g)]
      .map((m) => m[1]!)
      .filter((path) => path.includes('/') && top.has(folderOf(path)));
    assert.ok(named.length > 20, 'the document names files');
    const missing = named.filter((path) => globSync(path.replace(/\/$/, ''), { cwd: repository }).length === 0);
    assert.deepEqual(missing, []);
  });

  it('says what each dependency is for', () => {
    const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as Record<string, object>;
    const names = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((k) =>
      Object.keys(manifest[k] ?? {}),
    );
    assert.deepEqual(
      names.filter((name) => !text.includes(`\`${name}\``)),
      [],
    );
  });

  it('stays short enough to be read', () => {
    assert.ok(text.split('\n').length <= 200, `${text.split('\n').length} lines`);
  });
});

/** The chain of imports from a file to the first file that matches; undefined when there is none. */
function pathTo(start: SourceFile, matches: (path: string) => boolean): readonly string[] | undefined {
  const seen = new Set<string>([start.path]);
  const queue: (readonly string[])[] = [[start.path]];
  for (let chain = queue.shift(); chain !== undefined; chain = queue.shift()) {
    const last = chain[chain.length - 1]!;
    if (matches(last)) return chain;
    for (const { target, kind } of byPath.get(last)?.imports ?? []) {
      if (kind !== 'file' || seen.has(target)) continue;
      seen.add(target);
      queue.push([...chain, target]);
    }
  }
  return undefined;
}

/** Cycles among imports that exist at run time, each once, as a chain of paths. */
function findCycles(): readonly string[] {
  const state = new Map<string, 'open' | 'done'>();
  const cycles: string[] = [];
  const visit = (path: string, chain: readonly string[]): void => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      cycles.push([...chain.slice(chain.indexOf(path)), path].join(' -> '));
      return;
    }
    state.set(path, 'open');
    for (const { target, kind, typeOnly } of byPath.get(path)?.imports ?? []) {
      if (kind === 'file' && !typeOnly) visit(target, [...chain, path]);
    }
    state.set(path, 'done');
  };
  for (const { path } of files) visit(path, []);
  return cycles;
}
