/**
 * Whose logs are kept, as istioctl's --include and --exclude say it: `NS,.../DEPLOYMENT,.../POD,.../LABEL=VALUE,.../ANNOTATION=VALUE,.../
 * CONTAINER,...`. Parts may be empty or left out at the end; `*` in a name stands for any characters. Pure.
 */
import type { Pod } from '../../common/kube/kinds/core.ts';
import { UsageError } from '../arguments.ts';
import { glob } from '../glob.ts';

export interface LogFilter {
  readonly namespaces: readonly RegExp[];
  readonly deployments: readonly RegExp[];
  readonly pods: readonly RegExp[];
  readonly labels: readonly Pair[];
  readonly annotations: readonly Pair[];
  readonly containers: readonly RegExp[];
  /** It names namespaces and nothing else. */
  readonly whole: boolean;
}

type Pair = readonly [key: string, value: RegExp];

/** UsageError. */
export function parseLogFilter(option: string, text: string): LogFilter {
  const parts = text.split('/');
  if (parts.length > 6)
    throw new UsageError(
      `${option}: ${JSON.stringify(text)}: expected NS/DEPLOYMENT/POD/LABEL=VALUE/ANNOTATION=VALUE/CONTAINER`,
    );
  const words = (at: number) =>
    (parts[at] ?? '')
      .split(',')
      .map((w) => w.trim())
      .filter((w) => w !== '');
  const pairs = (at: number) =>
    words(at).map((word): Pair => {
      const equals = word.indexOf('=');
      if (equals > 0) return [word.slice(0, equals), glob(word.slice(equals + 1))];
      throw new UsageError(`${option}: ${JSON.stringify(word)} is no NAME=VALUE`);
    });
  return {
    namespaces: words(0).map(glob),
    deployments: words(1).map(glob),
    pods: words(2).map(glob),
    labels: pairs(3),
    annotations: pairs(4),
    containers: words(5).map(glob),
    whole: parts.slice(1).every((part) => part === ''),
  };
}

/** Each part that says something holds. */
export function takes(filter: LogFilter, { metadata }: Pod, container: string): boolean {
  const { namespace = 'default', name, labels = {}, annotations = {} } = metadata;
  const any = (patterns: readonly RegExp[], text: string) =>
    patterns.length === 0 || patterns.some((p) => p.test(text));
  const has = (pairs: readonly Pair[], values: Readonly<Record<string, string>>) =>
    pairs.length === 0 || pairs.some(([key, value]) => value.test(values[key] ?? '') && values[key] !== undefined);
  return (
    any(filter.namespaces, namespace) &&
    any(filter.deployments, deploymentOf(name)) &&
    any(filter.pods, name) &&
    has(filter.labels, labels) &&
    has(filter.annotations, annotations) &&
    any(filter.containers, container)
  );
}

/** `web` of `web-5d4f8c7b9-x2k4p`: names as a ReplicaSet makes them. */
function deploymentOf(pod: string): string {
  return /^(.+)-[a-z0-9]{1,10}-[a-z0-9]{5}$/.exec(pod)?.[1] ?? '';
}

/** Whether nothing at all of a namespace is wanted. */
export function leavesOut(filters: readonly LogFilter[], namespace: string): boolean {
  return filters.some((f) => f.whole && f.namespaces.length > 0 && f.namespaces.some((p) => p.test(namespace)));
}
