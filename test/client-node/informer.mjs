// informer.mjs FOLDER NAMESPACE PATH: an informer of @kubernetes/client-node, which is installed in FOLDER, tells what it sees as
// the one of test/client-go does. Plain JavaScript: the types are not installed where the checks run.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [folder, namespace, path] = process.argv.slice(2);
const { KubeConfig, KubernetesObjectApi, ListWatch, Watch } = await import(
  createRequire(join(folder, 'package.json')).resolve('@kubernetes/client-node')
);
const config = new KubeConfig();
config.loadFromDefault();
const objects = KubernetesObjectApi.makeApiClient(config);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const list = () => objects.list('v1', 'ConfigMap', namespace);
const informer = new ListWatch(path, new Watch(config), list, false);
const events = { add: 'added', update: 'updated', delete: 'deleted' };
for (const [name, event] of Object.entries(events)) {
  informer.on(name, ({ metadata }) =>
    say({ event, name: metadata.name, version: metadata.resourceVersion, n: metadata.annotations?.n }),
  );
}
// It leaves it to its user to start again.
informer.on('error', (error) => {
  say({ event: 'error', expired: error.statusCode === 410, message: String(error) });
  setTimeout(start, 100);
});

createInterface({ input: process.stdin }).on('line', () => {
  const held = Object.fromEntries(informer.list().map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
  say({ event: 'cache', held });
});

async function start() {
  await informer.start();
}

await start();
say({ event: 'synced' });
