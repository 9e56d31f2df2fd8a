/** Envoys that take all their listeners from istiod, in a network of their own whose kernel leads connections to them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { skipUnless } from '../harness/require.ts';

const skip = skipUnless('program:unshare', 'program:ip', 'program:nft') || skipWithoutEnvoy();
/** Addresses of services, pods and of strangers are all of this machine there. */
const network = `
ip link set lo up
for range in 10.96.0.0/16 10.97.0.0/16 10.98.0.0/16 240.5.0.0/16; do ip route add local $range dev lo; done
nft -f - <<END
table ip capture { chain out { type nat hook output priority -100; ip saddr 127.0.0.9 tcp dport != 15001 redirect to :15001; }; }
END
exec "$@"
`;

test('listeners of plain Envoys', { skip }, async () => {
  const env = { ...process.env, NODE_TEST_CONTEXT: '' };
  const program = [process.execPath, ...process.execArgv, join(import.meta.dirname, 'outbound/captured.ts')];
  const user = process.geteuid?.() === 0 ? [] : ['--map-root-user'];
  const child = spawn('unshare', [...user, '--net', 'sh', '-ec', network, 'sh', ...program], { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += String(chunk);
    });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0, output);
});
