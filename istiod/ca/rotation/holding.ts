/** One certificate that a proxy holds: what its next root must wait for. */
export interface Holding {
  /** `namespace/name` of the pod that asked, and its uid. */
  readonly pod: string;
  readonly uid: string;
  /** SPIFFE id in the certificate. */
  readonly identity: string;
  /** The pod asked for itself, not for another one of its node. */
  readonly own: boolean;
  /** Of a machine that is no pod, which showed the certificate before: nobody can tell one of an account from another, so each counts until it ends. */
  readonly machine?: true;
  /** Ids of the roots that came with it. */
  readonly roots: readonly string[];
  /** Id of the root that it leads to. */
  readonly under: string;
  /** Ms since the epoch. */
  readonly issuedAt: number;
  readonly notAfter: number;
}

/** A later certificate with this key takes the place of an earlier one. */
export function holdingKey({ uid, identity }: Pick<Holding, 'uid' | 'identity'>): string {
  return `${uid} ${identity}`;
}

/** As one value of a ConfigMap. */
export function formatHolding(h: Holding): string {
  return JSON.stringify(h);
}

/** undefined for what is none: somebody edited it, and then it counts as unknown. */
export function parseHolding(text: string): Holding | undefined {
  try {
    const h = JSON.parse(text) as Partial<Holding>;
    const texts = [h.pod, h.uid, h.identity, h.under];
    const numbers = [h.issuedAt, h.notAfter];
    const valid =
      texts.every((t) => typeof t === 'string') &&
      numbers.every((n) => typeof n === 'number') &&
      typeof h.own === 'boolean' &&
      Array.isArray(h.roots);
    return valid ? (h as Holding) : undefined;
  } catch {
    return undefined;
  }
}
