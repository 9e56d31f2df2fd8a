/** Dedicated proxies of two machines, with each way of redirecting: no node agent, no istiod, no Kubernetes. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { childProcesses } from '../harness/children.ts';
import { type Requirement, skipUnless } from '../harness/require.ts';
import { call } from './bed.ts';
import { address, FileMeshBed, ourProxy, redirectByMark, vip } from './file-mesh-bed.ts';

type Run = (command: string, input?: string) => void;

/** With what SETTINGS.md says it needs, and no more. */
const capabilities = '+net_admin,+setuid,+setgid,+setpcap,+kill';
const confined = ['setpriv', `--bounding-set=-all,${capabilities}`, '--inh-caps=-all', ...ourProxy];

const agent = join(import.meta.dirname, '../../bin/cni-agent');

const chains = [
  '-A PREROUTING -i lo -j RETURN',
  '-A PREROUTING -p tcp --dport 15008 -j RETURN',
  '-A PREROUTING -p tcp -j REDIRECT --to-ports 15006',
  '-A OUTPUT -m owner --uid-owner 1337 -j RETURN',
  '-A OUTPUT -m owner --gid-owner 1337 -j RETURN',
  '-A OUTPUT -d 127.0.0.0/8 -j RETURN',
  '-A OUTPUT -o lo -j RETURN',
  '-A OUTPUT -p udp --dport 53 -j REDIRECT --to-ports 15053',
  '-A OUTPUT -p tcp -j REDIRECT --to-ports 15001',
];

const ways: readonly {
  readonly name: string;
  readonly needs: readonly Requirement[];
  readonly rules: (run: Run) => void;
  readonly env: Record<string, string>;
  /** Whom the app sees. */
  readonly peer: string;
}[] = [
  {
    name: 'cni-agent redirect',
    needs: ['program:nft'],
    rules: (run) => run(`${agent} redirect add --redirect-dns`),
    env: {},
    peer: address.b,
  },
  {
    name: 'cni-agent redirect --iptables',
    needs: ['program:iptables', 'program:ip6tables'],
    rules: (run) => run(`${agent} redirect add --redirect-dns --iptables`),
    env: {},
    peer: address.b,
  },
  {
    name: 'nftables by mark',
    needs: ['program:nft'],
    rules: redirectByMark,
    env: { PACKET_MARK: '1337' },
    peer: address.a,
  },
  {
    name: 'iptables by hand',
    needs: ['program:iptables'],
    rules(run) {
      for (const rule of chains) run(`iptables -t nat ${rule}`);
    },
    env: {},
    peer: address.b,
  },
];

for (const { name, needs, rules, env, peer } of ways) {
  describe(`dedicated proxies with ${name}`, { skip: skipUnless('root', 'addon', 'program:setpriv', ...needs) }, () => {
    let bed: FileMeshBed;
    let proxies: Record<'a' | 'b', ChildProcess>;
    before(async () => {
      bed = await FileMeshBed.make({ rules });
      const [a, b] = await Promise.all([bed.proxy('a', env, confined), bed.proxy('b', env, confined)]);
      proxies = { a, b };
      await bed.echo('b', 8080);
    });
    after(() => bed.remove());

    test('calls of a service and of a machine arrive over mutual TLS', async () => {
      assert.equal(await bed.run('a', call, vip, '80'), `peer ${peer} hello\n`);
      assert.equal(await bed.run('a', call, address.b, '8080'), `peer ${peer} hello\n`);
      const scrape = `fetch('http://127.0.0.1:15020/metrics').then((r) => r.text()).then(console.log);`;
      const metrics = await bed.run('b', scrape);
      assert.match(
        metrics,
        /istio_tcp_connections_opened_total\{[^}]*reporter="destination"[^}]*source_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/a"[^}]*connection_security_policy="mutual_tls"[^}]*\} 2/,
      );
    });

    // The user of the proxy is not captured, so this leaves as it is; no plain user may set a mark.
    if (env['PACKET_MARK'] === undefined) {
      test('plain text that the policy does not allow is refused', async () => {
        assert.doesNotMatch(
          await bed.run('a', `process.setgid(1337); process.setuid(1337); ${call}`, address.b, '8080'),
          /hello/,
        );
      });
    }

    test('names of the mesh are answered', async () => {
      const lookup = `
        const dns = new (require('node:dns').promises.Resolver)();
        dns.setServers(['192.0.2.53']);
        dns.resolve4('echo.default.svc.cluster.local').then((r) => console.log(r.join()), (e) => console.log(e.code));`;
      assert.equal(await bed.run('a', lookup), `${vip}\n`);
    });

    test('the capture ports answer nobody', async () => {
      for (const port of ['15001', '15006']) {
        assert.match(await bed.run('a', call, '127.0.0.1', port), /ECONNRESET|ECONNREFUSED|^\s*$/, port);
        assert.match(await bed.run('a', call, address.b, port), /ECONNRESET|ECONNREFUSED|^\s*$/, port);
      }
    });

    test('the worker has no capability', () => {
      // nsenter became the proxy.
      const [worker] = childProcesses(proxies.a.pid!);
      assert.match(readFileSync(`/proc/${worker}/status`, 'utf8'), /CapEff:\s+0000000000000000\n/);
    });

    test('it ends when it is told to, and its ports are closed', async () => {
      await bed.stop(proxies.b);
      assert.equal(proxies.b.exitCode, 0);
      assert.doesNotMatch(await bed.run('a', call, vip, '80'), /hello/);
    });
  });
}
