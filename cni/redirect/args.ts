/** Arguments of `cni-agent redirect`. Pure. Istio's equivalent is `pilot-agent istio-iptables`. */
import { parseArgs } from 'node:util';
import { describeError } from '../../common/core/errors.ts';
import { parseCidr } from '../../common/core/net.ts';
import { nothingExcluded, type RedirectPlan } from '../capture/nft/rules.ts';

export interface RedirectCommand {
  readonly kind: 'add' | 'remove';
  readonly by: 'nft' | 'iptables';
  /** Prints and changes nothing. */
  readonly dryRun: boolean;
  readonly plan: RedirectPlan;
}

export type ParsedRedirect =
  | { readonly kind: 'ok'; readonly command: RedirectCommand }
  | { readonly kind: 'help' }
  | { readonly kind: 'invalid'; readonly errors: readonly string[] };

/** Uid of the node proxy's sockets in dedicated mode (AQUIFER_WORKER_UID), that of Istio's proxies. */
const proxyUid = 1337;
/** SSH, so that a proxy that fails locks nobody out, and what answers the proxy's own metrics and readiness. */
const openPorts = [22, 15020, 15021];

export const redirectUsage = `usage: cni-agent redirect add|remove [OPTION...]

Brings the traffic of this network namespace to a ztunnel with PROXY_MODE=dedicated: outbound TCP to port 15001, inbound TCP to 15006,
except what ztunnel itself sends.

  --proxy-uid UID                 owner of ztunnel's sockets, default ${proxyUid}
  --redirect-dns                  DNS to port 15053 (ztunnel: ISTIO_META_DNS_CAPTURE=true)
  --no-inbound                    plain text that comes in goes to the apps directly
  --exclude-inbound-ports P,...   default ${openPorts.join(',')}
  --exclude-outbound-ports P,...
  --exclude-outbound-cidrs C,...
  --iptables                      iptables and ip6tables instead of nftables
  --dry-run                       print what would be done, and do nothing
`;

const options = {
  'proxy-uid': { type: 'string' },
  'redirect-dns': { type: 'boolean' },
  'no-inbound': { type: 'boolean' },
  'exclude-inbound-ports': { type: 'string' },
  'exclude-outbound-ports': { type: 'string' },
  'exclude-outbound-cidrs': { type: 'string' },
  iptables: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

export function parseRedirect(args: readonly string[]): ParsedRedirect {
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (e) {
    return { kind: 'invalid', errors: [describeError(e)] };
  }
  const { values, positionals } = parsed;
  if (values.help) return { kind: 'help' };
  const [word, ...rest] = positionals;
  const errors = rest.map((r) => `"${r}" is not understood`);
  if (word !== 'add' && word !== 'remove') {
    return { kind: 'invalid', errors: [...errors, `"${word ?? ''}": expected add or remove`] };
  }
  const list = <T>(name: keyof typeof values, one: (text: string) => T | undefined, expected: string): readonly T[] => {
    const texts = String(values[name] ?? '').split(',');
    const found = texts.filter((t) => t.trim() !== '').map((t) => ({ text: t, value: one(t.trim()) }));
    for (const { text, value } of found) if (value === undefined) errors.push(`--${name}: "${text}" is no ${expected}`);
    return found.flatMap(({ value }) => (value === undefined ? [] : [value]));
  };
  const uid = values['proxy-uid'] === undefined ? proxyUid : whole(values['proxy-uid'], 0xffff_fffe);
  if (uid === undefined) errors.push(`--proxy-uid: "${values['proxy-uid']}" is no number of a user`);
  const inbound = list('exclude-inbound-ports', port, 'port');
  const plan: RedirectPlan = {
    proxies: [{ kind: 'uid', uid: uid ?? proxyUid }],
    dns: values['redirect-dns'] ?? false,
    plaintext: values['no-inbound'] ? 'direct' : 'captured',
    virtualInterfaces: [],
    probes: [],
    excluded: {
      ...nothingExcluded,
      inboundPorts: values['exclude-inbound-ports'] === undefined ? openPorts : inbound,
      outboundPorts: list('exclude-outbound-ports', port, 'port'),
      outboundCidrs: list('exclude-outbound-cidrs', (t) => (parseCidr(t) ? t : undefined), 'CIDR'),
    },
  };
  if (errors.length > 0) return { kind: 'invalid', errors };
  const by = values.iptables ? 'iptables' : 'nft';
  return { kind: 'ok', command: { kind: word, by, dryRun: values['dry-run'] ?? false, plan } };
}

const port = (text: string) => whole(text, 65_535);

function whole(text: string, most: number): number | undefined {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value >= 0 && value <= most ? value : undefined;
}
