/**
 * A policy that denies a path is not walked around by how the path is written: wfuzz writes paths in many encodings to three servers
 * behind our waypoint, and what a server takes for the path that is denied does not reach it.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { convertRule } from '../../../istiod/envoy/rbac/rules.ts';
import { extension } from '../../../istiod/envoy/values.ts';
import { httpFilter, router, staticCluster } from '../../../waypoint/testing/rig.ts';
import { Origin, type OriginName, skipWithoutOrigins } from '../../harness/origins.ts';
import { WaypointProcess } from '../../harness/waypoint.ts';

const names: readonly OriginName[] = ['nginx', 'apache', 'haproxy'];
const encoders = [
  ...['none', 'urlencode', 'double_urlencode', 'uri_hex', 'uri_double_hex', 'uri_triple_hex', 'uri_unicode'],
  ...['utf8', 'utf8_binary', 'first_nibble_hex', 'second_nibble_hex', 'doble_nibble_hex', 'random_upper'],
];

/** How the path is come to, and how it ends. */
const ways = ['', '//', 'x/../', '%2e/', 'x/%2e%2e/', 'x/..%2f', '%2F%2f', 'x/..;/', '%5c', 'x/..%252f'];
const ends = ['', '/users', '?a=b', ';a=b', '%00', '.', '%2f', '%3fa', '//.'];
const writings = ['admin', '%61dmin', 'Admin', 'adm/../admin', '%2561dmin'];
const words = ways.flatMap((way) => writings.flatMap((as) => ends.map((end) => way + as + end)));

/** As istiod has it with pathNormalization DECODE_AND_MERGE_SLASHES, which servers need that take `//` and `%2f` for a slash. */
const normalization = {
  normalize_path: true,
  merge_slashes: true,
  path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD',
};
const { policy } = convertRule({ to: [{ operation: { paths: ['/admin*'] } }] }, false, 'rules[0]', {
  ...{ level: 'http', namespace: 'shop', trustDomains: ['cluster.local'], hasTokens: true },
});
const rbac = extension('envoy.filters.http.rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', {
  rules: { action: 'DENY', policies: { admin: policy } },
});

const missing = spawnSync('wfuzz', ['--version']).status === 0 ? false : 'wfuzz is not installed';
if (missing && process.env['REQUIRE_ALL'] === '1')
  throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${missing}`);

describe('paths that wfuzz makes up', { skip: skipWithoutOrigins() || missing }, () => {
  for (const name of names) {
    it(`do not reach what a policy denies: ${name}`, async (t) => {
      const [open, admin] = [await count(), await count()];
      await using parts = new AsyncDisposableStack();
      parts.defer(() => open.close());
      parts.defer(() => admin.close());
      const origin = parts.use(await Origin.start(name, open.port, admin.port));
      const waypoint = await WaypointProcess.start({
        node: { id: 'paths', cluster: 'paths' },
        static_resources: {
          clusters: [staticCluster(name, [origin.port])],
          listeners: [listener('guarded', name, [rbac]), listener('open', name, [])],
        },
      });
      parts.use(waypoint);
      await fuzz(await waypoint.port('open'));
      const understood = admin.seen.size;
      assert.ok(understood >= 5, `${name} took only ${understood} for the path: too few to say anything`);
      admin.seen.clear();
      const before = open.count();
      await fuzz(await waypoint.port('guarded'));
      assert.deepEqual([...admin.seen], [], 'leaks');
      assert.ok(open.count() > before, 'other paths pass');
      t.diagnostic(
        `${words.length * encoders.length} paths by ${encoders.length} encoders, ${understood} forms that ${name} takes for /admin without the policy, 0 leaks`,
      );
    });
  }
});

async function fuzz(port: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'aq-wfuzz-'));
  try {
    writeFileSync(join(folder, 'words'), `${words.join('\n')}\n`);
    const payload = `file,${join(folder, 'words')},${encoders.join('-')}`;
    // Its report is not read: the servers say what came.
    const args = ['-z', payload, '-t', '20', '--hc', '200,400,403,404', `http://127.0.0.1:${port}/FUZZ`];
    await promisify(execFile)('wfuzz', args, {
      maxBuffer: 1 << 28,
      env: { ...process.env, HOME: folder },
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Counting {
  readonly port: number;
  /** Targets. */
  readonly seen: Set<string>;
  count(): number;
  close(): void;
}

async function count(): Promise<Counting> {
  const seen = new Set<string>();
  let requests = 0;
  const server: Server = createServer((asked, answer) => {
    requests++;
    seen.add(asked.url!);
    answer.end('x');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { port: (server.address() as AddressInfo).port, seen, count: () => requests, close };
}

function listener(name: string, cluster: string, filters: readonly object[]): object {
  const route = { match: { prefix: '/' }, route: { cluster, timeout: '5s' } };
  const http_filters = [...filters, router];
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [httpFilter([route], { ...normalization, http_filters })] }],
  };
}
