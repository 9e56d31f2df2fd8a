/**
 * Whose token it is (TokenReview), and what its bearer may list (SubjectAccessReview): the console shows nothing else. The API server is
 * asked again after 10 s, so that a right which is taken away ends here, too.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../common/core/clock.ts';
import { kindTable } from '../../common/kube/schema/table.ts';
import type { Kind, KubeSource } from '../../common/kube/types.ts';
import { isAllowed, reviewToken, type Subject } from '../reviews.ts';

/** Something of a kind in a namespace; absent for what is of the cluster. */
export interface Place {
  readonly kind: string;
  readonly namespace?: string;
}

export interface Reader {
  /** As the API server calls the bearer. */
  readonly user: string;
  /** Which of these places may be listed. MeshError where the API server does not say. */
  readable(places: Iterable<Place>): Promise<(place: Place) => boolean>;
}

export interface Access {
  /** undefined: the token is nobody's. MeshError where the API server does not say. */
  reader(token: string): Promise<Reader | undefined>;
}

/** Ms. */
const remembered = 10_000;
/** Tokens that are remembered at once. */
const maxReaders = 500;
/** Questions to the API server under way for one page. */
const width = 8;

export function createAccess(source: Pick<KubeSource, 'create'>, clock: Clock): Access {
  const readers = new Map<string, { readonly reader: Promise<Reader | undefined>; readonly until: number }>();
  return {
    reader(token) {
      const now = clock.now();
      const key = createHash('sha256').update(token).digest('base64');
      const known = readers.get(key);
      if (known !== undefined && known.until > now) return known.reader;
      for (const [other, { until }] of readers) if (until <= now) readers.delete(other);
      const reader = review(source, token);
      if (readers.size < maxReaders) readers.set(key, { reader, until: now + remembered });
      // Nothing was said, so there is nothing to remember.
      reader.catch(() => readers.delete(key));
      return reader;
    },
  };
}

async function review(source: Pick<KubeSource, 'create'>, token: string): Promise<Reader | undefined> {
  const { authenticated, user } = await reviewToken(source, token);
  if (authenticated !== true || user?.username === undefined) return undefined;
  const { username, ...more } = user;
  return new ReaderOf(source, { user: username, ...more });
}

class ReaderOf implements Reader {
  readonly #source: Pick<KubeSource, 'create'>;
  readonly #subject: Subject;
  /** By resource and namespace. */
  readonly #answers = new Map<string, Promise<boolean>>();

  constructor(source: Pick<KubeSource, 'create'>, subject: Subject) {
    this.#source = source;
    this.#subject = subject;
  }

  get user(): string {
    return this.#subject.user;
  }

  async readable(places: Iterable<Place>): Promise<(place: Place) => boolean> {
    const wanted = new Map<string, Place>();
    for (const place of places) wanted.set(keyOf(place), place);
    const allowed = new Set<string>();
    const queue = [...wanted];
    const ask = async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        if (await this.#mayList(next[1])) allowed.add(next[0]);
      }
    };
    await Promise.all(Array.from({ length: width }, ask));
    return (place) => allowed.has(keyOf(place));
  }

  /** Two kinds share some names, and an object says no group here: then both must be allowed. */
  async #mayList({ kind, namespace }: Place): Promise<boolean> {
    const kinds = kindTable.filter((e) => e.kind.kind === kind).map((e) => e.kind);
    for (const k of kinds) {
      const everywhere = await this.#ask(k, undefined);
      if (!everywhere && (namespace === undefined || !(await this.#ask(k, namespace)))) return false;
    }
    return kinds.length > 0;
  }

  #ask({ group, plural }: Kind, namespace: string | undefined): Promise<boolean> {
    const key = `${group}/${plural}/${namespace ?? ''}`;
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const what = { verb: 'list', group, resource: plural, ...(namespace !== undefined && { namespace }) };
    const answer = isAllowed(this.#source, this.#subject, what);
    this.#answers.set(key, answer);
    answer.catch(() => this.#answers.delete(key));
    return answer;
  }
}

function keyOf({ kind, namespace }: Place): string {
  return `${kind} ${namespace ?? ''}`;
}
