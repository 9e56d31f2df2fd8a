/** What a browser gets: files of web/, TypeScript without its types. Nothing else of the disk. */
import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';

export interface WebFile {
  readonly type: string;
  readonly body: string;
}

const folder = new URL('./web/', import.meta.url);

/** Path below /console/ -> the file and its type. */
const files: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '': ['index.html', 'text/html; charset=utf-8'],
  'style.css': ['style.css', 'text/css; charset=utf-8'],
  ...Object.fromEntries(
    ['app', 'client', 'details', 'graph', 'layout', 'object', 'pages', 'table', 'text', 'view', 'why'].map((name) => [
      `${name}.ts`,
      [`${name}.ts`, 'text/javascript; charset=utf-8'],
    ]),
  ),
};

const made = new Map<string, Promise<WebFile>>();

/** undefined: there is none of that name. */
export async function webFile(path: string): Promise<WebFile | undefined> {
  const found = Object.hasOwn(files, path) ? files[path] : undefined;
  if (found === undefined) return undefined;
  const [name, type] = found;
  let file = made.get(path);
  if (file === undefined) {
    file = readFile(new URL(name, folder), 'utf8').then((text) => ({
      type,
      body: name.endsWith('.ts') ? stripTypeScriptTypes(text) : text,
    }));
    made.set(path, file);
  }
  return file;
}
