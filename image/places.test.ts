import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placed } from './places.ts';

test('code that lies elsewhere finds what it names where it was', () => {
  const { code, named } = placed(
    `const a = new URL('../../bpf/x.o', import.meta.url);
const b = new Worker(new URL('./worker.ts', import.meta.url));
const c = new URL(\`../\${name}\`, import.meta.url);
createRequire(import.meta.url)('yaml');`,
    'cni/capture/machine.ts',
    '/lib/x',
  );
  assert.deepEqual(named, [
    { path: 'bpf/x.o', by: 'cni/capture/machine.ts' },
    { path: 'cni/capture/worker.js', by: 'cni/capture/machine.ts' },
  ]);
  const at = "'file:///lib/x/cni/capture/machine.ts'";
  assert.equal(
    code,
    `const a = new URL('../../bpf/x.o', ${at});
const b = new Worker(new URL('./worker.js', ${at}));
const c = new URL(\`../\${name}\`, ${at});
createRequire(${at})('yaml');`,
  );
  const folder = placed("join(import.meta.dirname, '..')", 'lab/config.ts', '/lib/x').code;
  assert.equal(folder, "join('/lib/x/lab', '..')");
});
