/** `aquifer validate`. */
import { titleOf } from '../common/kube/manifests/documents.ts';
import type { Problem } from '../common/kube/manifests/problem.ts';
import { formatPath } from '../common/kube/schema/validate.ts';
import type { Level } from '../istiod/validation/finding.ts';
import { validateObject } from '../istiod/validation/validate-object.ts';
import { oneOf, readArguments, UsageError } from './arguments.ts';
import { readManifests } from './manifests.ts';
import { validateOptions } from './options.ts';

interface Remark extends Problem {
  readonly level: Level;
  readonly remedy?: string;
}

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('validate', args, validateOptions);
  const format = oneOf('--output', values.output, 'text', 'json');
  const paths = [...(values.filename ?? []), ...positionals];
  if (paths.length === 0) throw new UsageError('aquifer validate: a file is expected; see aquifer validate --help');
  const remarks: Remark[] = [];
  let [checked, foreign] = [0, 0];
  for (const { objects, problems } of await readManifests(paths)) {
    remarks.push(...problems.map((problem) => ({ ...problem, level: 'error' as const })));
    for (const manifest of objects) {
      const findings = validateObject(manifest.object);
      if (findings === undefined) {
        foreign++;
        continue;
      }
      checked++;
      for (const { level, path, at, reason, remedy } of findings) {
        const field = path.length === 0 ? undefined : formatPath(path);
        remarks.push({
          ...manifest.problemAt(field, reason, at),
          object: titleOf(manifest.object),
          level,
          ...(remedy === undefined ? {} : { remedy }),
        });
      }
    }
  }
  const errors = remarks.filter((r) => r.level === 'error').length;
  if (format === 'json') print(JSON.stringify({ checked, foreign, errors, remarks }, undefined, 2));
  else {
    for (const remark of remarks) print(formatRemark(remark));
    const left = foreign === 0 ? '' : `; ${foreign} of other kinds left out`;
    print(`${checked} objects checked, ${errors} errors, ${remarks.length - errors} warnings${left}`);
  }
  return errors === 0 ? 0 : 1;
}

/** `a.yaml:3:5: error: VirtualService shop/web: spec.hosts[0]: what is wrong; what to do`. */
function formatRemark({ file, line, column, level, object, field, message, remedy }: Remark): string {
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`;
  const text = remedy === undefined ? message : `${message}; ${remedy}`;
  return [place, level, object, field, text].filter((part) => part !== undefined).join(': ');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
