/** Reads the access log of a node's ztunnel (ambient-wire 7.2). */
import type { HostName, LabApi } from '../lab/index.ts';

export type AccessLine = Readonly<Record<string, string>>;

export async function accessLog(lab: LabApi, node: HostName): Promise<readonly AccessLine[]> {
  const text = await lab.logs('ztunnel', { node });
  return text
    .split('\n')
    .filter((line) => line.split('\t')[2] === 'access')
    .map(fields);
}

/** `key=value` or `key="value"`; the value in quotes is a JSON string. */
function fields(line: string): AccessLine {
  const found: Record<string, string> = {};
  for (const [, key, quoted, bare] of line.matchAll(/([\w.]+)=(?:("(?:[^"\\]|\\.)*")|(\S*))/g)) {
    found[key!] = quoted === undefined ? (bare ?? '') : String(JSON.parse(quoted));
  }
  return found;
}

/** The first line that fits, waiting for it: a connection is logged when it has ended. */
export async function findAccessLine(
  lab: LabApi,
  node: HostName,
  matches: (line: AccessLine) => boolean,
): Promise<AccessLine | undefined> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const line = (await accessLog(lab, node)).find(matches);
    if (line !== undefined || performance.now() > deadline) return line;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
