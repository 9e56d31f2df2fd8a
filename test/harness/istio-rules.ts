/**
 * What Istio's node agent puts into a pod's network namespace (ambient-wire 6.2), for tests: its rules in nftables' own language, each
 * with its number in that table (1 is for guests and left out), and its policy routing. IPv4 and IPv6.
 */
import { execFileSync } from 'node:child_process';

const proxy = 'meta mark & 0xfff == 0x539';
const notProxy = 'meta mark & 0xfff != 0x539';
const reply = '0x111';
const abroad = ['ip daddr != 127.0.0.1', 'ip6 daddr != ::1'] as const;
const probe = [
  ['ip', '169.254.7.127'],
  ['ip6', 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff'],
] as const;

/** The same rule for each family. */
const each = <T>(families: readonly T[], rule: (family: T) => string) => families.map(rule).join('\n    ');

const rules = `
table inet istio_of_the_test {
  chain pre_raw { type filter hook prerouting priority raw;
    udp sport 53 ${notProxy} ct zone set 1 # 10
  }
  chain out_raw { type filter hook output priority raw;
    udp dport 53 ${proxy} ct zone set 1 # 9
  }
  chain pre_mangle { type filter hook prerouting priority mangle;
    ${proxy} ct mark set ${reply} # 2
  }
  chain out_mangle { type route hook output priority mangle;
    ct mark & 0xfff == ${reply} meta mark set ct mark # 6
  }
  chain pre_nat { type nat hook prerouting priority dstnat;
    ${each(probe, ([ip, address]) => `${ip} saddr ${address} meta l4proto tcp accept`)} # 3
    ${each(abroad, (to) => `${to} tcp dport != 15008 ${notProxy} redirect to :15006`)} # 5
  }
  chain out_nat { type nat hook output priority -100;
    ${each(probe, ([ip, address]) => `${ip} daddr ${address} meta l4proto tcp accept`)} # 4
    oifname != lo udp dport 53 ${notProxy} redirect to :15053 # 7
    ${each(abroad, (to) => `${to} tcp dport 53 ${notProxy} redirect to :15053`)} # 8
    meta l4proto tcp meta mark & 0xfff == ${reply} accept # 11
    ${each(abroad, (to) => `${to} oifname lo accept`)} # 12
    ${each(abroad, (to) => `${to} meta l4proto tcp ${notProxy} redirect to :15001`)} # 13
  }
}`;

/** `netns`: path of the namespace. */
export function captureAsIstio(netns: string): void {
  const inside = (program: string, args: readonly string[], input = '') =>
    execFileSync('nsenter', [`--net=${netns}`, program, ...args], { input });
  inside('nft', ['-f', '-'], rules);
  for (const family of ['-4', '-6']) {
    inside('ip', [family, 'rule', 'add', 'fwmark', `${reply}/0xfff`, 'priority', '32764', 'lookup', '100']);
    inside('ip', [family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '100']);
  }
}
