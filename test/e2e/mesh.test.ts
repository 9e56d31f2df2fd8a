/** What users and attackers do to a mesh that nobody disturbs. On both engines: every other suite with pods runs on the default one. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { createCsr } from '../../common/identity/csr.ts';
import { until } from '../../common/testing/until.ts';
import { signWorkload, verifyCsr } from '../../istiod/ca/authority.ts';
import type { Issuer } from '../../istiod/ca/issuer.ts';
import { loadOrCreateRoot } from '../../istiod/ca/root-store.ts';
import type { LabApi } from '../../lab/index.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { scrape } from '../harness/scrape.ts';
import type { LoopCall, Touched } from './tools/traffic.ts';
import {
  deployment,
  meshNamespace,
  plainNamespace,
  policy,
  type Stream,
  serverPort,
  strictMtls,
  World,
} from './world.ts';

/** At a pod's address. */
const capturePorts = [15000, 15001, 15006, 15008, 15020, 15021, 15053, 15080];
/** At a node's: metrics and readiness, 15020 and 15021, are for anybody. */
const nodePorts = [15000, 15001, 15006, 15008, 15053, 15080];

for (const [engine, name] of [
  ['native', 'e2emesh'],
  ['node', 'e2enode'],
] as const) {
  describe(`the mesh, ${engine} engine`, {
    skip: skipUnless('ebpf', 'program:ip', 'program:nft', 'program:tcpdump'),
  }, () => {
    let world: World;
    before(async () => {
      world = await World.up(name, 'ebpf', {
        ztunnel: { UNSTABLE_ENABLE_SOCKS5: 'true', AQUIFER_ENGINE: engine },
      });
    });
    after(() => world?.down());

    test('pods of the mesh reach each other by Service and by address, in both families', async () => {
      const [vips, ips] = [await world.vips(), await world.ips('server')];
      for (const from of ['client', 'near', 'stranger']) {
        for (const to of [vips.v4, vips.v6, ips.v4, ips.v6]) {
          assert.deepEqual(await world.burst(await world.ref(from), to, 3), { ok: 3, failed: {} }, `${from} to ${to}`);
        }
      }
    });

    test('3,000 concurrent connects lose none', async () => {
      const { v4 } = await world.ips('server');
      assert.deepEqual(await world.burst(await world.ref('client'), v4, 3_000), { ok: 3_000, failed: {} });
    });

    test('an app that itself listens on 15008 is in the mesh, and so are its other ports', async () => {
      const server = await world.pod('server');
      assert.equal(server.metadata.annotations?.['ambient.istio.io/redirection'], 'enabled');
      const { v6 } = await world.ips('server');
      assert.deepEqual(await world.burst(await world.ref('client'), v6, 1), { ok: 1, failed: {} });
      const [own] = await world.touch(await world.ref('server'), ['127.0.0.1:15008']);
      assert.match(own!.detail, /^hello from/, 'inside its pod the app has its port');
    });

    test('the ports of the proxy answer nobody, are counted, and lead to no loop', async () => {
      const server = [...Object.values(await world.ips('server')), ...Object.values(await world.vips())];
      const hosts = ['client', 'server'].map(async (name) => (await world.pod(name)).status?.hostIP ?? '');
      const nodes = await Promise.all(hosts);
      const client = await world.ref('client');
      const outsider = await world.ref('outsider', plainNamespace);
      const before = await refused(world.lab);
      for (const [who, from, addresses, ports] of [
        ['a pod of the mesh', client, server, capturePorts],
        ['a pod outside of it', outsider, server, capturePorts],
        ['a pod of the mesh, of the nodes', client, nodes, nodePorts],
        ['a pod outside of it, of the nodes', outsider, nodes, nodePorts],
        ['the pod itself', client, Object.values(await world.ips('client')), capturePorts],
        ['the pod itself, by loopback', client, ['127.0.0.1', '::1'], capturePorts],
      ] as const) {
        const targets = addresses.flatMap((ip) => ports.map((p) => (ip.includes(':') ? `[${ip}]:${p}` : `${ip}:${p}`)));
        for (const touched of await world.touch(from, targets)) {
          assert.ok(isRefusal(touched), `${who}: ${JSON.stringify(touched)}`);
          assert.ok(touched.ms < 5_000, `${who}: ${JSON.stringify(touched)}`);
        }
      }
      assert.ok((await refused(world.lab)) > before, 'refusals are counted');
      assert.deepEqual(await world.burst(client, server[0]!, 10), { ok: 10, failed: {} });
    });

    test('a tunnel leads to its own pod and to no port of the proxy, whatever certificate and authority it has', async () => {
      const { v4, v6 } = await world.ips('server');
      const { v4: other } = await world.ips('near');
      const { v4: vip } = await world.vips();
      const name = `server.${meshNamespace}.svc.cluster.local`;
      const outsider = await world.ref('outsider', plainNamespace);
      const root = await rootIn(join(world.lab.dir, 'istiod'));
      const pem = await certificate(root, 'cluster.local');

      const [honest] = await world.tunnel(outsider, v4, pem, [`${v4}:${serverPort}`]);
      assert.equal(honest?.status, 200);
      assert.match(honest.bytes, /^hello from/);
      const wrong = [
        ...[`${other}:${serverPort}`, `127.0.0.1:${serverPort}`, `[::1]:${serverPort}`, `[${v6}]:${serverPort}`],
        ...capturePorts.map((p) => `${v4}:${p}`),
        ...[
          `${vip}:${serverPort}`,
          `${v4}:1`,
          `10.255.255.254:${serverPort}`,
          `${name}:1`,
          `other.${name}:${serverPort}`,
        ],
        ...[`${v4}`, `${v4}:0`, `${v4}:99999`, 'nonsense', 'no.such.host:80', '', `user@${v4}:${serverPort}`],
      ];
      for (const answer of await world.tunnel(outsider, v4, pem, wrong)) {
        assert.notEqual(answer.status, 200, JSON.stringify(answer));
        assert.equal(answer.bytes, '', JSON.stringify(answer));
        assert.ok(answer.status !== undefined || answer.error !== '', `no answer in time: ${JSON.stringify(answer)}`);
      }

      // A pod of the mesh does not get past its own proxy with a tunnel of its own, not even with a good one.
      const inner = [`${v4}:${serverPort}`, ...wrong.slice(0, 8)];
      for (const answer of await world.tunnel(await world.ref('client'), v4, pem, inner)) {
        assert.notEqual(answer.status, 200, JSON.stringify(answer));
      }
      assert.deepEqual(await world.burst(await world.ref('client'), v4, 10), { ok: 10, failed: {} });

      const elsewhere = await mkdtemp(join(tmpdir(), 'aq-foreign-'));
      const foreignRoot = await rootIn(elsewhere);
      await rm(elsewhere, { recursive: true });
      for (const [name, forged] of [
        ['of another root', await certificate(foreignRoot, 'cluster.local')],
        ['of a foreign trust domain', await certificate(root, 'evil.example')],
        ['that has expired', await certificate(root, 'cluster.local', -60_000)],
      ] as const) {
        const [answer] = await world.tunnel(outsider, v4, forged, [`${v4}:${serverPort}`]);
        assert.equal(answer?.status, undefined, `a certificate ${name} gets no answer`);
      }
    });

    test('an app that speaks SOCKS reaches the mesh and the world by name, from its own address', async () => {
      const client = await world.ref('client');
      const { v4 } = await world.ips('client');
      const name = `server.${meshNamespace}.svc.cluster.local`;
      for (const host of [name, `server.${meshNamespace}`, 'server', (await world.ips('server')).v4]) {
        assert.match(
          await world.socks(client, host),
          new RegExp(`^hello from (::ffff:)?${v4.replaceAll('.', '\\.')}$`),
          host,
        );
      }
      assert.equal(
        await world.socks(client, name, 1),
        `0500${'05040001000000000000'}`,
        'a port that the service has not',
      );
      assert.match(
        await world.socks(await world.ref('outsider', plainNamespace), name),
        /^[0-9a-f]+$/,
        'not without a proxy',
      );
    });

    test('a policy refuses new connections and closes open ones; without it they are served again', async () => {
      const client = await world.ref('client');
      const { v4 } = await world.vips();
      const denied = policy('no-clients', 'DENY', 'client');
      const calls = await world.loop(client, v4, 10, 'm');
      for (let round = 0; round < 3; round++) {
        const held = await world.hold(client, v4);
        await until('a connection is open', () => held.lines[0]?.event === 'open');
        const at = Date.now();
        await world.lab.apply(denied);
        const end = await until('the open connection is closed', () => held.lines[1]);
        const first = await until('a new one is refused', () => calls.lines.find((c) => c.at >= at && c.error !== ''));
        // The bench holds both to 100 ms; here other tests may use the machine.
        assert.ok(end.at - at < 1_000, `closed after ${end.at - at} ms`);
        assert.ok(first.at - at < 1_000, `refused after ${first.at - at} ms`);
        await held.kill();
        await world.lab.delete(denied);
        const since = Date.now();
        await until('calls are answered again', () => calls.lines.some((c) => c.at >= since && c.error === ''));
      }
      await calls.finish();
    });

    test('a PeerAuthentication that is STRICT refuses plain text, and only that', async () => {
      const { v4 } = await world.ips('server');
      const outsider = await world.ref('outsider', plainNamespace);
      const calls = await world.loop(outsider, v4, 10, 'm');
      await until('plain text is served', () => calls.lines.some((c) => c.error === ''));
      const strict = strictMtls();
      await world.lab.apply(strict);
      await until('plain text is refused', () => calls.lines.at(-1)?.error !== '');
      assert.equal((await world.burst(outsider, v4, 5)).ok, 0);
      assert.deepEqual(await world.burst(await world.ref('client'), v4, 5), { ok: 5, failed: {} });
      await world.lab.delete(strict);
      const since = Date.now();
      await until('plain text is served again', () => calls.lines.some((c) => c.at >= since && c.error === ''));
      await calls.finish();
    });

    test('a namespace leaves and enters the mesh under load, and at most one call in a thousand is lost', async (t) => {
      const total = longOr(2_000, 20_000);
      const [vips, ips] = [await world.vips(), await world.ips('server')];
      const streams = await Promise.all(
        (['client', 'near', 'stranger', 'client'] as const).map(async (from, i) =>
          world.loop(await world.ref(from), [vips.v4, vips.v6, ips.v4, ips.v6][i]!, 50, 'marker'),
        ),
      );
      const made = () => streams.reduce((sum, s) => sum + s.lines.length, 0);
      for (let flips = 1; made() < total; flips++) {
        await world.setMesh(flips % 2 === 1 ? null : 'ambient');
        const next = Math.min(total, made() + 100);
        await until(`${next} calls`, () => made() >= next, 30_000);
      }
      await world.setMesh('ambient');
      const calls = (await Promise.all(streams.map((s: Stream<LoopCall>) => s.finish()))).flat();
      const lost = calls.filter((c) => c.error !== '');
      assert.ok(
        lost.length <= calls.length / 1_000,
        `${lost.length} of ${calls.length}: ${JSON.stringify(lost.slice(0, 20))}`,
      );
      t.diagnostic(`${lost.length} of ${calls.length} calls lost`);
    });

    test('traffic goes on while istiod is away', async () => {
      const calls = await world.loop(await world.ref('client'), (await world.vips()).v4, 20, 'm');
      await world.lab.kill('istiod', undefined, 'SIGSTOP');
      try {
        await until('100 calls', () => calls.lines.length >= 100, 20_000);
      } finally {
        await world.lab.kill('istiod', undefined, 'SIGCONT');
      }
      assert.deepEqual(
        (await calls.finish()).filter((c) => c.error !== ''),
        [],
      );
    });

    test('who gets the address of a pod that is gone gets nothing of its identity', async () => {
      const { lab } = world;
      const { v4: server } = await world.ips('server');
      const allow = policy('only-victim', 'ALLOW', 'victim');
      const victim = deployment({ name: 'victim', node: 'node-1' });
      await lab.apply(allow);
      await lab.apply(victim);
      await lab.waitReady();
      await lab.waitEnrolled();
      assert.deepEqual(await world.burst(await world.ref('victim'), server, 1), { ok: 1, failed: {} });
      const { v4: address } = await world.ips('victim');
      await lab.delete(victim);
      await until('the victim is gone', async () =>
        (await lab.pods()).every((pod) => pod.spec.serviceAccountName !== 'victim'),
      );

      // The lab gives an address out again only after all others, so the heirs take it by hand.
      for (const namespace of [meshNamespace, plainNamespace]) {
        const name = namespace === meshNamespace ? 'stranger' : 'outsider';
        await world.takeAddress(name, namespace, 'node-1', address);
        assert.equal((await world.burst(await world.ref(name, namespace), server, 3)).ok, 0, `${name} was served`);
      }
      await lab.delete(allow);
      const calls = await world.loop(await world.ref('outsider', plainNamespace), server, 50, 'm');
      const answered = await until('without the policy it is served', () => calls.lines.find((c) => c.error === ''));
      assert.ok(answered.seen.endsWith(address), `it came from ${answered.seen}`);
      await calls.finish();
    });
  });
}

/** Key and leaf of service account `client`, as its node could have them. */
function rootIn(dataDir: string): Promise<Issuer> {
  const trustDomain = 'cluster.local';
  return loadOrCreateRoot({ dataDir, trustDomain, clock: systemClock, log: silentLogger, published: undefined });
}

async function certificate(root: Issuer, trustDomain: string, ttl = 600_000): Promise<string> {
  const identity = { trustDomain, namespace: meshNamespace, serviceAccount: 'client' };
  const { privateKey, csr } = await createCsr(identity);
  return privateKey + (await signWorkload(root, await verifyCsr(csr), identity, ttl, systemClock));
}

/** Nobody talks there; a TLS alert is how the HBONE port turns away who speaks no TLS. */
function isRefusal({ outcome, detail }: Touched): boolean {
  return outcome === 'refused' || outcome === 'closed' || (outcome === 'answered' && detail.startsWith('\x15\x03'));
}

/** Connections that the two node proxies refused so far, by all their counters. */
async function refused(lab: LabApi): Promise<number> {
  let sum = 0;
  for (const node of lab.nodes) {
    const text = await scrape(lab, node, 15_020);
    for (const [, value] of text.matchAll(/^(?:istio_tcp_connections_failed_total|aquifer_\w*refused\w*)\S* (\d+)/gm)) {
      sum += Number(value);
    }
  }
  return sum;
}
