/**
 * The suites of istiod that ask an API server, on the one that KUBECONFIG names, which is emptied before each test and so has to be for that:
 *
 *   KUBECONFIG=FILE scripts/pinned-node test/peers/istiod-suites.ts [PART_OF_PATH]
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = join(import.meta.dirname, '../..');
/** What opens a server: the one that is named by istiod/testing/api-server.ts, another one by the last. */
const opens = /\b(withWorld|withCluster|openTestApi|startTestServer)\b/;
/** Files that ask an API server and are about another one, and why. */
const elsewhere: readonly (readonly [path: string, reason: string])[] = [
  ['istiod/apiserver/', 'they are about our own API server'],
  ['istiod/crds/install.test.ts', 'it counts what a server is sent that has no definitions yet'],
  ['istiod/standalone/', 'it is istiod with our own API server in one process'],
];

const named = process.env['KUBECONFIG'];
if (!named) throw new Error('KUBECONFIG is not set: the kubeconfig of the server to try');
process.env['TEST_KUBECONFIG'] = named;
const all = globSync('{istiod,test/istiod,test/inproc}/**/*.test.ts', { cwd: root })
  .filter((file) => file.includes(process.argv[2] ?? '') && opens.test(readFileSync(join(root, file), 'utf8')))
  .sort();
const reasonOf = (file: string) => elsewhere.find(([path]) => file.startsWith(path))?.[1];
const files = all.filter((file) => reasonOf(file) === undefined);
process.stdout.write(`${files.length} files\n`);
for (const file of all.filter((f) => !files.includes(f))) process.stdout.write(`not ${file}: ${reasonOf(file)}\n`);
const stream = run({
  files: files.map((file) => join(root, file)),
  concurrency: 1,
  execArgv: ['--disable-warning=ExperimentalWarning'],
});
stream.on('test:fail', () => {
  process.exitCode = 1;
});
for await (const text of stream.compose(spec)) process.stdout.write(String(text));
