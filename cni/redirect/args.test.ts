import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseRedirect } from './args.ts';
import { redirectText } from './redirect.ts';

const command = (line: string) => {
  const parsed = parseRedirect(line.split(' '));
  return parsed.kind === 'ok' ? parsed.command : assert.fail(JSON.stringify(parsed));
};
const errors = (line: string) => {
  const parsed = parseRedirect(line.split(' '));
  return parsed.kind === 'invalid' ? parsed.errors.join('\n') : assert.fail(`${line} was accepted`);
};

describe('arguments of cni-agent redirect', () => {
  test('have defaults under which nobody is locked out', () => {
    const { plan, ...rest } = command('add');
    assert.deepEqual(rest, { kind: 'add', by: 'nft', dryRun: false });
    assert.deepEqual(plan.proxies, [{ kind: 'uid', uid: 1337 }]);
    assert.deepEqual([plan.dns, plan.plaintext, plan.excluded.inboundPorts], [false, 'captured', [22, 15020, 15021]]);
  });

  test('are all understood', () => {
    const { plan, ...rest } = command(
      'remove --proxy-uid 5 --redirect-dns --no-inbound --exclude-inbound-ports 22,80 --exclude-outbound-ports 6443 ' +
        '--exclude-outbound-cidrs 10.0.0.0/8,fd00::/8 --iptables --dry-run',
    );
    assert.deepEqual(rest, { kind: 'remove', by: 'iptables', dryRun: true });
    assert.deepEqual(plan, {
      proxies: [{ kind: 'uid', uid: 5 }],
      dns: true,
      plaintext: 'direct',
      virtualInterfaces: [],
      probes: [],
      excluded: { inboundPorts: [22, 80], outboundPorts: [6443], outboundCidrs: ['10.0.0.0/8', 'fd00::/8'] },
    });
  });

  test('are refused by name', () => {
    assert.match(errors('start'), /"start": expected add or remove/);
    assert.match(errors('add twice'), /"twice" is not understood/);
    assert.match(errors('add --frobnicate'), /frobnicate/);
    assert.match(errors('add --proxy-uid root'), /--proxy-uid: "root" is no number of a user/);
    assert.match(errors('add --exclude-inbound-ports 1,70000'), /--exclude-inbound-ports: "70000" is no port/);
    assert.match(errors('add --exclude-outbound-cidrs 10.0.0.0/33'), /"10.0.0.0\/33" is no CIDR/);
  });

  test('never reach a rule as something else than they are', () => {
    fc.assert(
      fc.property(fc.constantFrom('ports', 'cidrs'), fc.string(), (which, text) => {
        const parsed = parseRedirect(['add', `--exclude-outbound-${which}=${text}`]);
        if (parsed.kind !== 'ok') return;
        const { outboundCidrs, outboundPorts } = parsed.command.plan.excluded;
        for (const cidr of outboundCidrs) assert.match(cidr, /^[0-9a-fA-F.:/]+$/);
        for (const port of outboundPorts) assert.ok(Number.isInteger(port));
      }),
    );
  });
});

describe('rules of iptables', () => {
  const lines = redirectText(command('add --iptables --redirect-dns --exclude-outbound-cidrs 10.0.0.0/8,fd00::/8'))
    .split('\n')
    .map((line) => line.replace(/ -m comment .*$/, ''));

  test('take away what stands before they are made, and count from the jump on', () => {
    assert.ok(lines[0]?.endsWith('2>/dev/null || true'));
    const jump = lines.indexOf('iptables -w -t nat -A OUTPUT -j AQUIFER_OUTBOUND');
    const last = lines.indexOf('iptables -w -t nat -A AQUIFER_OUTBOUND -p tcp --syn -j REDIRECT --to-ports 15001');
    assert.ok(last > 0 && jump === last + 1);
  });

  test('are those of nftables, in both families', () => {
    for (const program of ['iptables', 'ip6tables']) {
      for (const rule of [
        'AQUIFER_INBOUND -i lo -j RETURN',
        'AQUIFER_INBOUND -p tcp --dport 15008 -j RETURN',
        'AQUIFER_INBOUND -p tcp --dport 22 -j RETURN',
        'AQUIFER_INBOUND -p tcp --syn -j REDIRECT --to-ports 15006',
        'AQUIFER_OUTBOUND -m owner --uid-owner 1337 -j RETURN',
        'AQUIFER_OUTBOUND -o lo -j RETURN',
        'AQUIFER_OUTBOUND -p udp --dport 53 -j REDIRECT --to-ports 15053',
        'AQUIFER_OUTBOUND -p tcp --dport 53 --syn -j REDIRECT --to-ports 15053',
      ]) {
        assert.ok(lines.includes(`${program} -w -t nat -A ${rule}`), `${program} ${rule}`);
      }
    }
    assert.ok(lines.includes('iptables -w -t nat -A AQUIFER_OUTBOUND -d 10.0.0.0/8 -j RETURN'));
    assert.ok(lines.includes('ip6tables -w -t nat -A AQUIFER_OUTBOUND -d fd00::/8 -j RETURN'));
  });
});
