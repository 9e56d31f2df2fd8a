import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nftCgroup } from './cgroup.ts';
import { aboutIn, tableText } from './nft-text.ts';
import { addressesIn } from './node-table.ts';
import { nothingExcluded, type RedirectPlan, redirectRules, replyRules } from './rules.ts';

const plan: RedirectPlan = {
  proxies: [{ kind: 'cgroup', cgroup: { path: 'unified/a/ztunnel', level: 2 } }],
  dns: true,
  plaintext: 'captured',
  virtualInterfaces: [],
  probes: ['169.254.7.127'],
  excluded: nothingExcluded,
};

/** The rules of a chain, without counters and comments. */
function chain(name: string, of: Partial<RedirectPlan> = {}): string[] {
  const text = tableText('t', 'uid', [...replyRules(0x539, 0x111), ...redirectRules({ ...plan, ...of })]);
  const body = new RegExp(`chain ${name} \\{\\n([^}]*)\\}`).exec(text)?.[1] ?? assert.fail(text);
  return body
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/ comment ".*"$/, '')
        .replace(' counter ', ' '),
    )
    .filter((line) => line !== '');
}

const syn = 'tcp flags & (fin | syn | rst | ack) == syn';

describe('rules of nftables', () => {
  test('inbound: calls within, HBONE and probes pass, other new connections go to the proxy', () => {
    assert.deepEqual(chain('inbound'), [
      'iifname "lo" accept',
      'tcp dport 15008 accept',
      `ip saddr 169.254.7.127 ${syn} accept`,
      `${syn} redirect to :15006`,
    ]);
  });

  test('a pod whose plain text goes direct has no redirect of it', () => {
    assert.ok(!chain('inbound', { plaintext: 'direct' }).some((rule) => rule.includes('redirect')));
  });

  test('outbound: the proxy is known by its cgroup, then DNS, then all else', () => {
    assert.deepEqual(chain('outbound'), [
      'ct mark 0x111 accept',
      'socket cgroupv2 level 2 "unified/a/ztunnel" accept',
      'oifname "lo" accept',
      'udp dport 53 redirect to :15053',
      `tcp dport 53 ${syn} redirect to :15053`,
      `${syn} redirect to :15001`,
    ]);
    assert.deepEqual(
      chain('outbound', { dns: false }).filter((rule) => rule.includes('53')),
      [],
    );
  });

  test('what a machine excludes comes before what is redirected', () => {
    const excluded = { inboundPorts: [22], outboundPorts: [6443], outboundCidrs: ['10.0.0.0/8', 'fd00::/8'] };
    const inbound = chain('inbound', { excluded });
    assert.ok(inbound.indexOf('tcp dport 22 accept') < inbound.indexOf(`${syn} redirect to :15006`));
    const outbound = chain('outbound', { excluded, proxies: [{ kind: 'uid', uid: 1337 }] });
    assert.deepEqual(outbound.slice(-4), [
      'tcp dport 6443 accept',
      'ip daddr 10.0.0.0/8 accept',
      'ip6 daddr fd00::/8 accept',
      `${syn} redirect to :15001`,
    ]);
    assert.ok(outbound.includes('meta skuid 1337 accept'));
  });

  test('what comes in by a virtual interface is outbound', () => {
    assert.deepEqual(chain('inbound', { virtualInterfaces: ['k6t'] }).slice(0, 2), [
      `iifname "k6t" ${syn} redirect to :15001`,
      'iifname "k6t" accept',
    ]);
  });

  test('the uid of a pod is found again', () => {
    assert.equal(aboutIn('chain about {\n counter packets 0 bytes 0 comment "abc-1"\n}'), 'abc-1');
    assert.equal(aboutIn('chain about {\n}'), undefined);
  });

  test('the pods of a node are found again', () => {
    const listing = 'elements = { 10.0.0.1 comment "u1",\n fd00::1 comment "u2" }';
    assert.deepEqual(addressesIn(listing), [
      { ip: '10.0.0.1', uid: 'u1' },
      { ip: 'fd00::1', uid: 'u2' },
    ]);
    assert.deepEqual(addressesIn('set pods4 {\n type ipv4_addr\n}'), []);
  });
});

describe('a cgroup for nftables', () => {
  test('is a path below /sys/fs/cgroup and its depth in cgroup2', () => {
    const hybrid = nftCgroup('/sys/fs/cgroup/unified/node/ztunnel/', '/sys/fs/cgroup/unified');
    assert.deepEqual(hybrid, { path: 'unified/node/ztunnel', level: 2 });
    assert.deepEqual(nftCgroup('/sys/fs/cgroup/ztunnel', '/sys/fs/cgroup'), { path: 'ztunnel', level: 1 });
  });

  test('nowhere else, and never one that breaks out of its quotes', () => {
    for (const folder of ['/host/cgroup/x', '/sys/fs/cgroup', '/sys/fs/cgroup/a"b', '/sys/fs/cgroup/a\nb']) {
      assert.throws(() => nftCgroup(folder, '/sys/fs/cgroup'), /below \/sys\/fs\/cgroup/);
    }
    assert.throws(() => nftCgroup('/sys/fs/cgroup/memory/x', '/sys/fs/cgroup/unified'), /in a cgroup2 file system/);
  });
});
