/**
 * BIG TCP (Linux 6.3): packets of a pod's connections are up to 256 KiB inside the node, so each byte goes through the stack in a quarter of
 * the steps. The kernel's default is 64 KiB. Interfaces that somebody else has set are left as they are.
 */
import { readFileSync } from 'node:fs';
import type { Fd } from '../../common/core/brand.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { type LinkSize, linkSizes, openNetns, setLinkSize } from '../../native/index.ts';

/** AQUIFER_BIG_TCP. `auto`: loopback always, other interfaces as far as the node's way out takes it; `all`: beyond that, too. */
export type BigTcp = 'auto' | 'all' | 'off';

/** Bytes. Beyond it a stream stalled in an experiment, at 520,000. */
export const bigSize = 262_144;
/** The kernel's own, GSO_LEGACY_MAX_SIZE. */
export const usualSize = 65_536;
const loopbackIndex = 1;

/** Which interfaces of a pod, and of its node, get which size. */
export interface SizePlan {
  readonly pod: readonly Sized[];
  readonly node: readonly Sized[];
}

export interface Sized {
  readonly index: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * A packet that is larger than what the node's way out takes would be cut there by the CPU, and no hardware would cut the pieces: so `auto`
 * gives pods' interfaces no more than that one has. `wayOut`: the name of the interface of the node's default route.
 */
export function enlarged(
  wanted: Exclude<BigTcp, 'off'>,
  pod: readonly LinkSize[],
  node: readonly LinkSize[],
  wayOut: string | undefined,
): SizePlan {
  const outside = wanted === 'all' ? bigSize : Math.min(bigSize, node.find((l) => l.name === wayOut)?.least ?? 0);
  const plan = { pod: [] as Sized[], node: [] as Sized[] };
  for (const link of pod) {
    if (link.index === loopbackIndex) {
      if (isUsual(link)) plan.pod.push(sized(link, bigSize));
      continue;
    }
    const end = nodeEnd(link, node);
    if (end === undefined || outside <= usualSize || !isUsual(link) || !isUsual(end)) continue;
    plan.pod.push(sized(link, outside));
    plan.node.push(sized(end, outside));
  }
  return plan;
}

/** What enlarged() made of interfaces, an earlier agent's too: those that have just what it gives, in either mode. */
export function usualAgain(pod: readonly LinkSize[], node: readonly LinkSize[], wayOut: string | undefined): SizePlan {
  const given = new Set([bigSize, node.find((l) => l.name === wayOut)?.least ?? bigSize]);
  given.delete(usualSize);
  const isGiven = ({ least, greatest }: LinkSize) => least !== undefined && least === greatest && given.has(least);
  const plan = { pod: [] as Sized[], node: [] as Sized[] };
  for (const link of pod) {
    if (!isGiven(link)) continue;
    const end = link.index === loopbackIndex ? undefined : nodeEnd(link, node);
    if (link.index !== loopbackIndex && (end === undefined || !isGiven(end))) continue;
    plan.pod.push(sized(link, usualSize));
    if (end !== undefined) plan.node.push(sized(end, usualSize));
  }
  return plan;
}

const isUsual = ({ least, greatest }: LinkSize) => least === usualSize && greatest === usualSize;

const sized = ({ index, most }: LinkSize, size: number): Sized => ({ index, size: Math.min(size, most) });

/** Only a veth whose ends name each other: a number alone may be another interface's in another namespace. */
function nodeEnd(link: LinkSize, node: readonly LinkSize[]): LinkSize | undefined {
  if (link.kind !== 'veth') return undefined;
  return node.find((l) => l.kind === 'veth' && l.index === link.peer && l.peer === link.index);
}

/** Sizes of pods' interfaces. What fails is logged once: pods work without. */
export class PacketSizes {
  readonly #wanted: BigTcp;
  readonly #log: Logger;
  readonly #node: Fd;
  #failed = false;

  /** `node`: the namespace in which the other ends of pods' interfaces are. */
  constructor(wanted: BigTcp, log: Logger, node: Fd = openNetns('/proc/self/ns/net')) {
    this.#wanted = wanted;
    this.#log = log;
    this.#node = node;
  }

  enlarge(netns: Fd): void {
    if (this.#wanted === 'off') return;
    const { pod, node } = this.#links(netns);
    if (pod.some((link) => link.least === undefined)) {
      this.#failure('this kernel has no BIG TCP for IPv4 (Linux 6.3): packets stay at 64 KiB');
      return;
    }
    this.#carryOut(netns, enlarged(this.#wanted, pod, node, wayOut()));
  }

  /** Also what another setting of an earlier agent made. */
  makeUsual(netns: Fd): void {
    const { pod, node } = this.#links(netns);
    this.#carryOut(netns, usualAgain(pod, node, wayOut()));
  }

  #links(netns: Fd) {
    return { pod: linkSizes(netns), node: linkSizes(this.#node) };
  }

  #carryOut(netns: Fd, plan: SizePlan): void {
    try {
      for (const { index, size } of plan.node) setLinkSize(this.#node, index, size);
      for (const { index, size } of plan.pod) setLinkSize(netns, index, size);
    } catch (e) {
      this.#failure(`the size of packets of a pod's interface stays as it is: ${describeError(e)}`);
    }
  }

  #failure(text: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#log.warn(`${text}; AQUIFER_BIG_TCP=off does not try`);
  }
}

/** By /proc/net/route, whose second column is the destination. undefined: there is no default route by IPv4. */
function wayOut(): string | undefined {
  const rows = readFileSync('/proc/net/route', 'utf8').split('\n').slice(1);
  return rows.map((row) => row.split('\t')).find(([, destination]) => destination === '00000000')?.[0];
}
