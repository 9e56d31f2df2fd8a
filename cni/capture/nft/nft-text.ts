/** Rules in nft's own language. One transaction each: a packet meets all of the old rules or all of the new. */
import { assertNever } from '../../../common/core/errors.ts';
import type { NftCgroup } from './cgroup.ts';
import { type Action, type Chain, chains, type Match, type ProxyMatch, type Rule } from './rules.ts';

/** Priorities by number: the names are not known to every nft in every hook. */
const hooks: Readonly<Record<Chain, string>> = {
  zone_in: 'type filter hook prerouting priority -300',
  zone_out: 'type filter hook output priority -300',
  mark_in: 'type filter hook prerouting priority -150',
  mark_out: 'type route hook output priority -150',
  inbound: 'type nat hook prerouting priority -100',
  outbound: 'type nat hook output priority -100',
};

/** Makes the table, or puts these rules in the place of those it has. `about`: a comment that tellsOf finds again. */
export function tableText(table: string, about: string, rules: readonly Rule[]): string {
  const lines = [`table inet ${table} {`, '  chain about { }'];
  for (const chain of chains) lines.push(`  chain ${chain} { ${hooks[chain]}; }`);
  lines.push('}', `flush table inet ${table}`, `table inet ${table} {`);
  lines.push(`  chain about { counter comment ${quoted(about)}; }`);
  for (const chain of chains) {
    const own = rules.filter((rule) => rule.chain === chain);
    lines.push(`  chain ${chain} {`, ...own.map((rule) => `    ${ruleText(rule)}`), '  }');
  }
  lines.push('}');
  return `${lines.join('\n')}\n`;
}

/** Deletes the table; succeeds where there is none, too. */
export function noTableText(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

/** Prints what aboutIn reads. */
export function listAboutText(table: string): string {
  return `list chain inet ${table} about\n`;
}

export function aboutIn(listing: string): string | undefined {
  return /comment "([^"]*)"/.exec(listing)?.[1];
}

function ruleText({ when, action, why }: Rule): string {
  return [...when.map(matchText), 'counter', actionText(action), `comment ${quoted(why)}`].join(' ');
}

function matchText(match: Match): string {
  switch (match.kind) {
    case 'new-tcp':
      return 'tcp flags & (fin | syn | rst | ack) == syn';
    case 'port':
      return `${match.protocol} ${match.end === 'source' ? 'sport' : 'dport'} ${match.port}`;
    case 'interface':
      return `${match.way === 'in' ? 'iifname' : 'oifname'} ${match.not ? '!= ' : ''}${quoted(match.name)}`;
    case 'address':
      return `${match.cidr.includes(':') ? 'ip6' : 'ip'} ${match.end === 'source' ? 'saddr' : 'daddr'} ${match.cidr}`;
    case 'mark':
      return `meta mark ${hex(match.mark)}`;
    case 'connection-mark':
      return `ct mark ${hex(match.mark)}`;
    case 'proxy':
      return proxyText(match.by);
    default:
      return assertNever(match);
  }
}

function proxyText(by: ProxyMatch): string {
  switch (by.kind) {
    case 'cgroup':
      return cgroupText(by.cgroup);
    case 'uid':
      return `meta skuid ${by.uid}`;
    case 'mark':
      return `meta mark ${hex(by.mark)}`;
    default:
      return assertNever(by);
  }
}

export function cgroupText({ path, level }: NftCgroup): string {
  return `socket cgroupv2 level ${level} ${quoted(path)}`;
}

function actionText(action: Action): string {
  switch (action.kind) {
    case 'accept':
      return 'accept';
    case 'redirect':
      return `redirect to :${action.port}`;
    case 'set-connection-mark':
      return `ct mark set ${hex(action.mark)}`;
    case 'set-mark':
      return `meta mark set ${hex(action.mark)}`;
    case 'zone':
      return `ct zone set ${action.zone}`;
    default:
      return assertNever(action);
  }
}

const hex = (value: number) => `0x${value.toString(16)}`;
const quoted = (text: string) => `"${text}"`;
