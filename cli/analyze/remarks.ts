/** What `aquifer analyze` tells, and how. Pure. */
import { stringify } from 'yaml';
import { type ManifestObject, titleOf } from '../../common/kube/manifests/documents.ts';
import { formatProblem, type Problem } from '../../common/kube/manifests/problem.ts';
import { levels, type MessageLevel, sorts } from '../../istiod/analysis/codes.ts';
import type { Message } from '../../istiod/analysis/world.ts';

export interface Remark {
  readonly code: string;
  readonly name: string;
  readonly level: MessageLevel;
  readonly object?: string;
  readonly field?: string;
  /** `a.yaml:3:5`. */
  readonly reference?: string;
  readonly message: string;
}

export function remarkOf({ sort, object, field, text }: Message, manifest: ManifestObject | undefined): Remark {
  const at = manifest?.problemAt(field, text);
  const reference = at?.line === undefined ? at?.file : `${at.file}:${at.line}:${at.column ?? 1}`;
  return {
    ...sorts[sort],
    name: sort,
    object: titleOf(object),
    ...(field === undefined ? {} : { field }),
    ...(reference === undefined ? {} : { reference }),
    message: text,
  };
}

export function insufficient(message: string): Remark {
  return { ...sorts.InsufficientPermissions, level: 'Warning', name: 'InsufficientPermissions', message };
}

export function bySeverity(a: Remark, b: Remark): number {
  const order = levels.indexOf(b.level) - levels.indexOf(a.level);
  return order !== 0 ? order : a.code.localeCompare(b.code) || (a.object ?? '').localeCompare(b.object ?? '');
}

export interface Told {
  readonly remarks: readonly Remark[];
  readonly broken: readonly Problem[];
  /** How many objects were looked at. */
  readonly checked: number;
}

export function linesOf(format: 'log' | 'json' | 'yaml', told: Told, colors: boolean): readonly string[] {
  const { remarks, broken, checked } = told;
  if (format === 'json') return [JSON.stringify([...remarks, ...broken], undefined, 2)];
  if (format === 'yaml') return [stringify([...remarks, ...broken]).trimEnd()];
  const count = remarks.length + broken.length;
  return [
    ...broken.map((problem) => `${marked('Error', colors)} (${formatProblem(problem)})`),
    ...remarks.map(({ code, level, object, field, reference, message }) => {
      const where = [object, reference].filter((p) => p !== undefined).join(' ');
      const head = `${marked(level, colors)} [${code}]${where === '' ? '' : ` (${where})`}`;
      return `${head} ${field === undefined ? '' : `${field}: `}${message}`;
    }),
    count === 0 ? `${checked} objects analyzed: nothing to say` : `${checked} objects analyzed: ${count} messages`,
  ];
}

/** Red and yellow (ECMA-48 8.3.117). */
function marked(level: MessageLevel, colors: boolean): string {
  if (!colors || level === 'Info') return level;
  return `\u001b[${level === 'Error' ? 31 : 33}m${level}\u001b[0m`;
}
