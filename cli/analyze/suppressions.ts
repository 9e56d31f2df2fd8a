/** `--suppress CODE=KIND NAME.NAMESPACE`, with "*" for any characters. Pure. */
import type { KubeObject } from '../../common/kube/types.ts';
import { UsageError } from '../arguments.ts';
import { glob } from '../glob.ts';

export interface Suppression {
  readonly code: string;
  readonly kind: string;
  readonly name: RegExp;
}

/** UsageError. */
export function parseSuppressions(texts: readonly string[]): readonly Suppression[] {
  return texts.map((text) => {
    const [, code, kind, name] = /^([A-Z]{2,3}\d{4}|\*)=(\S+) (\S+)$/.exec(text) ?? [];
    if (code === undefined) {
      throw new UsageError(`--suppress: ${JSON.stringify(text)}: expected CODE=KIND NAME or CODE=KIND NAME.NAMESPACE`);
    }
    return { code, kind: kind!, name: glob(name!) };
  });
}

export function suppresses({ code, kind, name }: Suppression, found: string, object: KubeObject): boolean {
  const { namespace, name: own } = object.metadata;
  const full = namespace === undefined ? own : `${own}.${namespace}`;
  return (code === '*' || code === found) && (kind === '*' || kind === object.kind) && name.test(full);
}
