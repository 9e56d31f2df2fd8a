/** Rules as iptables commands, for machines without nft. One shell script: run by `sh -e`, or read by whoever runs it by hand. */
import { assertNever } from '../../../common/core/errors.ts';
import { type Action, type Chain, chains, type Match, type ProxyMatch, type Rule } from './rules.ts';

const places: Readonly<Record<Chain, { readonly table: string; readonly hook: string }>> = {
  zone_in: { table: 'raw', hook: 'PREROUTING' },
  zone_out: { table: 'raw', hook: 'OUTPUT' },
  mark_in: { table: 'mangle', hook: 'PREROUTING' },
  mark_out: { table: 'mangle', hook: 'OUTPUT' },
  inbound: { table: 'nat', hook: 'PREROUTING' },
  outbound: { table: 'nat', hook: 'OUTPUT' },
};

const programs = ['iptables', 'ip6tables'] as const;

/** Also takes away what stands. A chain counts from its last line on, in which the hook jumps to it. */
export function addCommands(prefix: string, rules: readonly Rule[]): string {
  const lines = programs.flatMap((program) =>
    chains.flatMap((chain) => {
      const own = rules.filter((rule) => rule.chain === chain && fits(rule, program));
      if (own.length === 0) return [];
      const { table, hook } = places[chain];
      const name = chainName(prefix, chain);
      const command = `${program} -w -t ${table}`;
      return [
        `${command} -N ${name}`,
        ...own.map((rule) => `${command} -A ${name} ${ruleText(rule)}`),
        `${command} -A ${hook} -j ${name}`,
      ];
    }),
  );
  return `${removeCommands(prefix)}${lines.join('\n')}\n`;
}

/** Succeeds where nothing stands, too. */
export function removeCommands(prefix: string): string {
  const lines = programs.flatMap((program) =>
    chains.flatMap((chain) => {
      const { table, hook } = places[chain];
      const name = chainName(prefix, chain);
      return [`-D ${hook} -j ${name}`, `-F ${name}`, `-X ${name}`].map(
        (what) => `${program} -w -t ${table} ${what} 2>/dev/null || true`,
      );
    }),
  );
  return `${lines.join('\n')}\n`;
}

const chainName = (prefix: string, chain: Chain) => `${prefix}_${chain}`.toUpperCase();

/** An address belongs to one family, all else to both. */
function fits({ when }: Rule, program: (typeof programs)[number]): boolean {
  return when.every((m) => m.kind !== 'address' || m.cidr.includes(':') === (program === 'ip6tables'));
}

function ruleText({ when, action, why }: Rule): string {
  const protocols = new Set(
    when.flatMap((m) => (m.kind === 'new-tcp' ? ['tcp'] : m.kind === 'port' ? [m.protocol] : [])),
  );
  const parts = [...[...protocols].map((p) => `-p ${p}`), ...when.map(matchText), actionText(action)];
  return `${parts.join(' ')} -m comment --comment "${why}"`;
}

function matchText(match: Match): string {
  switch (match.kind) {
    case 'new-tcp':
      return '--syn';
    case 'port':
      return `${match.end === 'source' ? '--sport' : '--dport'} ${match.port}`;
    case 'interface':
      return `${match.not ? '! ' : ''}${match.way === 'in' ? '-i' : '-o'} ${match.name}`;
    case 'address':
      return `${match.end === 'source' ? '-s' : '-d'} ${match.cidr}`;
    case 'mark':
      return `-m mark --mark ${match.mark}`;
    case 'connection-mark':
      return `-m connmark --mark ${match.mark}`;
    case 'proxy':
      return proxyText(match.by);
    default:
      return assertNever(match);
  }
}

function proxyText(by: ProxyMatch): string {
  switch (by.kind) {
    case 'cgroup':
      // Below the root of cgroup2, wherever that is mounted.
      return `-m cgroup --path ${by.cgroup.path.split('/').slice(-by.cgroup.level).join('/')}`;
    case 'uid':
      return `-m owner --uid-owner ${by.uid}`;
    case 'mark':
      return `-m mark --mark ${by.mark}`;
    default:
      return assertNever(by);
  }
}

function actionText(action: Action): string {
  switch (action.kind) {
    case 'accept':
      return '-j RETURN';
    case 'redirect':
      return `-j REDIRECT --to-ports ${action.port}`;
    case 'set-connection-mark':
      return `-j CONNMARK --set-mark ${action.mark}`;
    case 'set-mark':
      return `-j MARK --set-mark ${action.mark}`;
    case 'zone':
      return `-j CT --zone ${action.zone}`;
    default:
      return assertNever(action);
  }
}
