/** What a check finds. */

export interface Result {
  /** Which part of the report it belongs to. */
  readonly group:
    | 'api'
    | 'permissions'
    | 'definitions'
    | 'nodes'
    | 'others'
    | 'parts'
    | 'versions'
    | 'certificates'
    | 'proxies'
    | 'pods'
    | 'node';
  readonly level: 'ok' | 'warn' | 'fail';
  /** Object, field, value. */
  readonly text: string;
  /** A command or a setting; only of what is not ok. */
  readonly fix?: string;
}

export const ok = (group: Result['group'], text: string): Result => ({ group, level: 'ok', text });
export const warn = (group: Result['group'], text: string, fix: string): Result => ({
  group,
  level: 'warn',
  text,
  fix,
});
export const fail = (group: Result['group'], text: string, fix: string): Result => ({
  group,
  level: 'fail',
  text,
  fix,
});

const titles: Readonly<Record<Result['group'], string>> = {
  api: 'Kubernetes API',
  permissions: 'permissions',
  definitions: 'definitions',
  nodes: 'nodes',
  others: 'other meshes and CNIs',
  parts: 'parts of the mesh',
  versions: 'versions',
  certificates: 'certificates',
  proxies: 'proxies',
  pods: 'pods',
  node: 'this machine',
};

/** As it is printed, a title before each group. */
export function report(results: readonly Result[]): readonly string[] {
  const groups = [...new Set(results.map((r) => r.group))];
  const lines = groups.flatMap((group) => [
    titles[group],
    ...results
      .filter((r) => r.group === group)
      .flatMap(({ level, text, fix }) => [
        `  ${level === 'fail' ? 'FAIL' : level.padEnd(4)}  ${text}`,
        ...(fix === undefined ? [] : [`        fix: ${fix}`]),
      ]),
    '',
  ]);
  const count = (level: Result['level']) => results.filter((r) => r.level === level).length;
  return [...lines, `${count('ok')} ok, ${count('warn')} warnings, ${count('fail')} failed`];
}
