/** The import statements of this repository's TypeScript files. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

export const repository = join(import.meta.dirname, '../..');

export interface Import {
  /** Path from the repository's root, or the specifier itself for packages and `node:` modules. */
  readonly target: string;
  readonly kind: 'file' | 'package' | 'builtin';
  /** `import type`: erased, so it makes no cycle at run time. */
  readonly typeOnly: boolean;
}

export interface SourceFile {
  /** Path from the repository's root. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

export function sourceFiles(): readonly SourceFile[] {
  const folders = '{common,native,ztunnel,waypoint,cni,lab,istiod,cli,test,demo,bench,dashboards,scripts}';
  return globSync(`${folders}/**/*.ts`, { cwd: repository })
    .filter((path) => !path.includes('/build/'))
    .sort()
    .map((path) => {
      const text = readFileSync(join(repository, path), 'utf8');
      return { path, text, imports: importsOf(path, text) };
    });
}

export function importsOf(path: string, text: string): readonly Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  for (const m of code.matchAll(/^\s*(?:import|export)\s+(type\s)?[^'";]*?\bfrom\s*'([^']+)'/gm)) {
    found.push(resolveImport(path, m[2]!, m[1] !== undefined));
  }
  for (const m of code.matchAll(/^\s*import\s*'([^']+)'|\b(?:import|require)\(\s*'([^']+)'\s*\)/gm)) {
    found.push(resolveImport(path, (m[1] ?? m[2])!, false));
  }
  return found;
}

/** Block comments, and comments that fill a line: enough that example code in them is not taken for imports. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

function resolveImport(from: string, specifier: string, typeOnly: boolean): Import {
  if (specifier.startsWith('.')) {
    const target = relative(repository, resolve(repository, dirname(from), specifier));
    return { target, kind: 'file', typeOnly };
  }
  if (specifier.startsWith('node:')) return { target: specifier, kind: 'builtin', typeOnly };
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1);
  return { target: name.join('/'), kind: 'package', typeOnly };
}
