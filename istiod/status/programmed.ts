/** How far an object of the mesh has got: which proxies confirmed what was made of it. Pure but for what it reads. */
import type { WantedCondition } from '../model/condition.ts';
import type { ObjectName } from '../model/resource.ts';
import type { Client } from '../xds/client.ts';
import type { FeedType } from '../xds/feed.ts';
import type { Made } from '../xds/made.ts';

/** Condition of mesh objects, and what `aquifer wait --for=programmed` waits for. */
export const programmed = 'Programmed';

export interface Progress {
  /** That want some of it. */
  readonly proxies: number;
  readonly confirmed: number;
  readonly rejections: readonly { readonly proxy: string; readonly reason: string }[];
}

/** `made` is for node proxies; what each Envoy has of the object, its own group says. */
export function progressOf(object: ObjectName, made: ReadonlyMap<FeedType, Made>, clients: Iterable<Client>): Progress {
  let [proxies, confirmed] = [0, 0];
  const rejections: { readonly proxy: string; readonly reason: string }[] = [];
  for (const client of clients) {
    const of = [...(client.group?.progressBase(object) ?? made)].flatMap(
      ([type, m]) => client.subscription(type)?.progress(m.resources, m.generation) ?? [],
    );
    if (of.length === 0) continue;
    proxies++;
    if (of.every((p) => p.done)) confirmed++;
    const reason = of.find((p) => p.rejected !== undefined)?.rejected;
    if (reason !== undefined) rejections.push({ proxy: client.id.split('~')[2] ?? client.id, reason });
  }
  return { proxies, confirmed, rejections };
}

/** Refusals that a message shows. */
const shown = 3;

export function conditionOf({ proxies, confirmed, rejections }: Progress): WantedCondition {
  const count = `${confirmed}/${proxies} proxies`;
  if (rejections.length > 0) {
    const reasons = rejections.slice(0, shown).map((r) => `${r.proxy} refused it: ${r.reason.slice(0, 300)}`);
    const more = rejections.length > shown ? [`and ${rejections.length - shown} more`] : [];
    return { status: 'False', reason: 'Rejected', message: [count, ...reasons, ...more].join('; ') };
  }
  if (proxies === 0) return { status: 'Unknown', reason: 'NoProxies', message: count };
  if (confirmed < proxies) return { status: 'False', reason: 'Pending', message: count };
  return { status: 'True', reason: 'Programmed', message: count };
}
