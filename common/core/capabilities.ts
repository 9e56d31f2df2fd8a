/** Capabilities of a process (capabilities(7)), and which of those that it needs it lacks. Pure. */

/** Bit numbers of linux/capability.h. */
const bits = {
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_ADMIN: 12,
  CAP_SYS_ADMIN: 21,
  CAP_BPF: 39,
} as const;

export type Capability = keyof typeof bits;

export interface NeededCapability {
  readonly name: Capability;
  /** Ends the sentence "needed ...". */
  readonly why: string;
  /** A capability that includes it. */
  readonly instead?: Capability;
}

/** `status` is the text of /proc/self/status; without its CapEff everything is missing. */
export function missingCapabilities(status: string, needed: readonly NeededCapability[]): readonly NeededCapability[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const has = (name: Capability) => ((effective >> BigInt(bits[name])) & 1n) === 1n;
  return needed.filter((c) => !has(c.name) && !(c.instead && has(c.instead)));
}
