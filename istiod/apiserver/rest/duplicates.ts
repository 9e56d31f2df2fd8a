/** Finds members that are twice in one object of a JSON text, which JSON.parse passes over. */
import { formatPath, type Path } from '../../../common/kube/schema/validate.ts';

const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

interface Open {
  /** Of an object: the names so far; of a list: undefined. */
  readonly names: Set<string> | undefined;
  /** Where we are in it. */
  at: string | number;
}

/** Paths such as `spec.replicas`, each once. `text` is JSON. */
export function duplicateMembers(text: string): readonly string[] {
  const open: Open[] = [];
  const found = new Set<string>();
  let before = '';
  for (const [part] of text.matchAll(token)) {
    const inside = open.at(-1);
    if (part === '{') open.push({ names: new Set(), at: '' });
    else if (part === '[') open.push({ names: undefined, at: 0 });
    else if (part === '}' || part === ']') open.pop();
    else if (part === ',' && typeof inside?.at === 'number') inside.at++;
    else if (part.startsWith('"') && inside?.names !== undefined && before !== ':') {
      const name = JSON.parse(part) as string;
      inside.at = name;
      if (inside.names.has(name)) found.add(formatPath(open.map((o): Path[number] => o.at)));
      inside.names.add(name);
    }
    before = part;
  }
  return [...found];
}
